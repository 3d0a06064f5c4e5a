package learn

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"fairlead.dev/hack/bench/rig"
	"fairlead.dev/hack/lab/labtest"
)

// TestMain lets the speaker that is measured be this program.
func TestMain(m *testing.M) {
	if os.Getenv(SpeakerEnv) == "" {
		os.Exit(m.Run())
	}
	if err := Serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// few are prefixes to learn.
func few(count int) []netip.Prefix {
	out := make([]netip.Prefix, count)
	for i := range out {
		n := 10<<24 | i<<6
		out[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), 26)
	}
	return out
}

func TestEveryLearnerLearns(t *testing.T) {
	labtest.Root(t)
	r, err := rig.New(labtest.Build(t), rig.Full(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, who := range []Who{BIRD, FRR, Speaker, Agent} {
		t.Run(string(who), func(t *testing.T) {
			o, err := Measure(t.Context(), r, who, few(50))
			if err != nil {
				t.Fatal(err)
			}
			installs := who != Speaker
			if o.Took <= 0 || (o.Installing > 0) != installs || (o.RSS > 0) != installs || o.Installing > o.Took {
				t.Errorf("got %+v", o)
			}
		})
	}
}

// A learner that is refused is an error, and no figure.
func TestWhoHasNoSession(t *testing.T) {
	labtest.Root(t)
	r, err := rig.New("/nowhere", rig.Full(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if o, err := Measure(t.Context(), r, Agent, few(1)); err == nil || !strings.Contains(err.Error(), "agent learns 1 routes: start /nowhere/fairlead-agent") {
		t.Errorf("got %+v, %v", o, err)
	}
	left, _ := os.ReadDir(r.Dir)
	if len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
