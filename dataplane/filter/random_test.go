package filter_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/filter"
	"fairlead.dev/dataplane/nstest"
)

var (
	seed   = flag.Uint64("seed", 0, "of the random test; 0 takes one")
	rounds = flag.Int("rounds", 40, "of the random test")
)

// TestRandom applies random filters, with random changes by someone else before
// each. Afterwards the table is as one made from nothing, as nft shows it, and
// nothing of theirs has changed.
func TestRandom(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("seed %d", *seed)
	r := rand.New(rand.NewPCG(*seed, 0))
	ns, mirror := nstest.New(t, "node"), nstest.New(t, "mirror")
	table, clean := open(t, ns), open(t, mirror)
	others := 0
	for i := range *rounds {
		var did []string
		for range r.IntN(4) {
			var command string
			if r.IntN(4) == 0 {
				others++
				command = fmt.Sprintf("add table inet other%d { set pods4 { type ipv4_addr ; elements = { 10.0.0.%d } ; } ; chain input { type filter hook input priority %d ; ip saddr @pods4 counter ; } ; }", others, r.IntN(256), r.IntN(9))
			} else {
				command = meddling(r)
			}
			// What is not there cannot be changed; that is no matter.
			ns.Run(t, "sh", "-c", "nft '"+command+"' 2>/dev/null || true")
			did = append(did, command)
		}
		want := randomFilter(r)
		before := theirTables(t, ns)
		apply(t, table, want)
		if diff := cmp.Diff(before, theirTables(t, ns)); diff != "" {
			t.Fatalf("round %d, after %q: tables of others before and after (-before +after):\n%s", i, did, diff)
		}
		mirror.Run(t, "nft", "flush", "ruleset")
		apply(t, clean, want)
		if diff := cmp.Diff(text(t, mirror), text(t, ns)); diff != "" {
			t.Fatalf("round %d, after %q (-made from nothing +changed):\n%s", i, did, diff)
		}
	}
}

func meddling(r *rand.Rand) string {
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	set := pick("pods4", "translated4", "near4")
	chain := pick("source", "node", "prerouting", "input", "postrouting")
	command := pick(
		"flush ruleset", "delete table T", "flush table T", "flush chain T CHAIN", "flush set T SET", "flush set T translated6",
		"add element T SET { RANGE }", "delete element T SET { 10.244.0.0/16 }", "add element T uplinks4 { eth9 : 10.9.9.9 }",
		"add rule T CHAIN counter", "insert rule T CHAIN accept", "add chain T more", "delete chain T more", "add set T more { type ipv4_addr ; }",
		"add table T { flags dormant ; }", "add chain T input { policy drop ; }", "rename chain T source sources", "add map T more { type ifname : ipv4_addr ; }",
	)
	return strings.NewReplacer("T", "inet "+filter.Name, "CHAIN", chain, "SET", set, "RANGE", fmt.Sprintf("10.%d.0.0/16", r.IntN(256))).Replace(command)
}

func randomFilter(r *rand.Rand) (f dataplane.Filter) {
	ranges := func() (out []netip.Prefix) {
		for range r.IntN(12) {
			out = append(out,
				netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(r.IntN(4)), byte(r.IntN(4) << 6), 0}), 8+r.IntN(25)),
				netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfd, 7: byte(r.IntN(4)), 15: byte(r.IntN(4))}), 48+r.IntN(81)))
		}
		return out
	}
	f.Pods, f.Translated = ranges(), ranges()
	for i := range r.IntN(4) {
		f.Uplinks = append(f.Uplinks, uplink(fmt.Sprintf("eth%d", i), fmt.Sprintf("192.0.2.%d", r.IntN(3))), uplink(fmt.Sprintf("eth%d", i), fmt.Sprintf("2001:db8::%d", r.IntN(3))))
	}
	return f
}

// theirTables are the ruleset without our table, with handles and all.
func theirTables(t *testing.T, ns nstest.NS) string {
	t.Helper()
	var out []string
	for line := range strings.Lines(ns.Run(t, "nft", "list", "tables")) {
		if name := strings.TrimSpace(line); name != "table inet "+filter.Name {
			out = append(out, ns.Run(t, "sh", "-c", "nft --handle list "+name))
		}
	}
	return strings.Join(out, "\n")
}
