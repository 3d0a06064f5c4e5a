package bgp

import (
	"bufio"
	"bytes"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPrefixesOfSendersDiffer(t *testing.T) {
	seen := map[netip.Prefix]bool{}
	for _, number := range []int{1, 2} {
		for _, p := range (wire{number: number}).prefixes(0, always+bulk) {
			if p != p.Masked() || p.Bits() != 26 || seen[p] {
				t.Fatalf("prefix %s of sender %d", p, number)
			}
			seen[p] = true
		}
	}
	w := wire{number: 2}
	if got := w.prefixes(3, 2); got[0] != w.prefix(3) || got[1] != netip.MustParsePrefix("10.128.1.0/26") {
		t.Errorf("got %v", got)
	}
}

// talk answers a BIRD client's next question as BIRD would.
func talk(t *testing.T, said string) *bird {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
	go func() {
		question, err := bufio.NewReader(theirs).ReadString('\n')
		if err == nil && question == "show x\n" {
			_, _ = theirs.Write([]byte(said)) // the client tells
		}
		_ = theirs.Close()
	}()
	return &bird{conn: ours, lines: bufio.NewReader(ours)}
}

func TestReply(t *testing.T) {
	for name, tc := range map[string]struct{ said, want, err string }{
		"one line":     {"0013 Daemon is up and running\n", "Daemon is up and running\n", ""},
		"many lines":   {"2002-name state\n1002-tor up\n1006-  Neighbor\n   more\n0000 \n", "name state\ntor up\n  Neighbor\n  more\n\n", ""},
		"wrong word":   {"9001 syntax error, unexpected SYM\n", "", "syntax error"},
		"failure":      {"8003 Protocol not found\n", "", "Protocol not found"},
		"end too soon": {"1002-tor up\n", "", "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := talk(t, tc.said).command(t.Context(), "show x")
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Error(d)
			}
			if (err != nil) != (tc.err != "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("error %v, want %q in it", err, tc.err)
			}
		})
	}
}

// As BIRD 2.0.12 says it.
const (
	up    = "  BGP state:          Established\n    Neighbor address: 172.31.1.1\n"
	down  = "  BGP state:          Passive\n    Neighbor address: 172.31.1.1\n    Neighbor graceful restart active\n"
	again = "  BGP state:          Established\n    Neighbor address: 172.31.1.1\n    Neighbor graceful restart active\n"
)

func TestRestartAsSeenByBIRD(t *testing.T) {
	for said, want := range map[string]struct{ stale, fresh bool }{
		up: {false, true}, down: {true, false}, again: {false, false}, "": {false, false},
	} {
		if got := isStale(said) == nil; got != want.stale {
			t.Errorf("stale is %v of %q", got, said)
		}
		if got := isFresh(said) == nil; got != want.fresh {
			t.Errorf("fresh is %v of %q", got, said)
		}
	}
}

func TestServe(t *testing.T) {
	var out bytes.Buffer
	// One that cannot be applied is answered, and is no end.
	if err := Serve(strings.NewReader(`{} {"Global":{"ASN":0}}`), &out); err != nil {
		t.Fatal(err)
	}
	answers := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(answers) != 2 || len(answers[0]) < 3 || len(answers[1]) < 3 {
		t.Errorf("answers %q", answers)
	}
}

func TestRowsPromised(t *testing.T) {
	want := []string{
		"announce-to-bird", "announce-to-bird-p99", "withdraw-to-bird", "withdraw-to-bird-p99",
		"announce-10k-to-bird", "restart-to-end-of-rib",
		"announce-to-frr", "announce-to-frr-p99", "withdraw-to-frr", "withdraw-to-frr-p99",
	}
	if d := cmp.Diff(want, Rows()); d != "" {
		t.Error(d)
	}
}
