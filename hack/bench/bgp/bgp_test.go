package bgp

import (
	"bytes"
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
