package filter_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/filter"
	"fairlead.dev/dataplane/nstest"
)

func prefixes(list ...string) (out []netip.Prefix) {
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

func uplink(link, address string) dataplane.Uplink {
	return dataplane.Uplink{Link: link, Address: netip.MustParseAddr(address)}
}

// sample has something in every set.
func sample() dataplane.Filter {
	return dataplane.Filter{
		Pods:       prefixes("10.244.0.0/16", "10.245.0.0/16", "fd44::/64"),
		Translated: prefixes("10.244.0.0/16", "fd44::/64"),
		Uplinks:    []dataplane.Uplink{uplink("eth1", "192.0.2.1"), uplink("eth1", "2001:db8::1"), uplink("eth2", "192.0.2.1")},
	}
}

var comparers = cmp.Options{cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})}

func open(t testing.TB, ns nstest.NS) *filter.Table {
	t.Helper()
	var table *filter.Table
	ns.Do(t, func() {
		var err error
		if table, err = filter.Open(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { _ = table.Close() })
	return table
}

func apply(t testing.TB, table *filter.Table, want dataplane.Filter) {
	t.Helper()
	if err := table.Apply(want); err != nil {
		t.Fatal(err)
	}
	got, err := table.List()
	if diff := cmp.Diff(want.Canonical(), got, comparers); err != nil || diff != "" {
		t.Fatalf("listed after Apply (-want +got): %v\n%s", err, diff)
	}
}

// text is what nft shows of the table, without counts, its chains and sets in
// order: a reader of its own.
func text(t testing.TB, ns nstest.NS) string {
	t.Helper()
	shown := ns.Run(t, "nft", "--stateless", "list", "table", "inet", filter.Name)
	shown = strings.TrimSuffix(strings.TrimPrefix(shown, "table inet "+filter.Name+" {\n"), "}\n")
	parts := strings.Split(strings.TrimSpace(shown), "\n\n")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	slices.Sort(parts)
	return strings.Join(parts, "\n\n")
}

func TestApply(t *testing.T) {
	ns := nstest.New(t, "node")
	table := open(t, ns)
	if got, err := table.List(); err != nil || !got.Equal(dataplane.Filter{}) {
		t.Errorf("listed before Apply: %v, %v", got, err)
	}
	apply(t, table, dataplane.Filter{})
	shown := text(t, ns)
	for _, want := range []string{
		"type filter hook prerouting priority raw; policy accept",
		`iifname "fl*" meta iifkind "veth" jump source`,
		`fib saddr . iif oif 0 counter drop comment "not the pod's address: no route to it by this link"`,
		"type filter hook input priority filter; policy accept",
		"type nat hook postrouting priority srcnat + 10; policy accept",
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("nft does not show %q in\n%s", want, shown)
		}
	}
	apply(t, table, sample())
	shown = text(t, ns)
	for _, want := range []string{
		"elements = { 10.244.0.0/16, 10.245.0.0/16 }", "elements = { fd44::/64 }",
		`"eth1" : 192.0.2.1`, `"eth2" : 192.0.2.1`, `"eth1" : 2001:db8::1`,
		"ip saddr @translated4 ip daddr != @pods4 snat ip to oifname map @uplinks4 fully-random",
		"ip6 saddr @translated6 ip6 daddr != @pods6 masquerade fully-random",
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("nft does not show %q in\n%s", want, shown)
		}
	}
	apply(t, table, dataplane.Filter{Pods: prefixes("0.0.0.0/0", "::/0"), Translated: prefixes("255.255.255.255/32")})
	apply(t, table, dataplane.Filter{})
}

// A change of elements leaves rules and their counts as they are: handles tell.
func TestApplyChangesNoMoreThanDiffers(t *testing.T) {
	ns := nstest.New(t, "node")
	table := open(t, ns)
	apply(t, table, sample())
	handles := func() string { return ns.Run(t, "nft", "--handle", "list", "chain", "inet", filter.Name, "source") }
	before := handles()
	apply(t, table, dataplane.Filter{Pods: prefixes("10.0.0.0/8")})
	apply(t, table, sample())
	apply(t, table, sample())
	if after := handles(); after != before {
		t.Errorf("rules were made anew:\n%s\n%s", before, after)
	}
}

// The attribute of a message's elements has a length of 16 bits; what is beyond
// is lost without a word.
func TestApplyManyRanges(t *testing.T) {
	table := open(t, nstest.New(t, "node"))
	var want dataplane.Filter
	for i := range 10_000 {
		want.Pods = append(want.Pods,
			netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 25),
			netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfd, 5: byte(i >> 8), 6: byte(i)}), 64))
	}
	want.Translated = want.Pods
	apply(t, table, want)
	want.Pods = want.Pods[:15_001]
	apply(t, table, want)
}

func TestApplyMends(t *testing.T) {
	own := func(command string) string { return strings.ReplaceAll(command, "TABLE", "inet "+filter.Name) }
	for _, change := range []string{
		"flush ruleset",
		"delete table TABLE",
		"flush table TABLE",
		"flush chain TABLE source",
		"flush chain TABLE postrouting; delete chain TABLE postrouting",
		"add table TABLE { flags dormant ; }",
		"add chain TABLE more",
		"add chain TABLE more { type filter hook forward priority 0 ; policy drop ; }",
		"add chain TABLE input { policy drop ; }",
		"add rule TABLE source accept",
		"insert rule TABLE node counter",
		"insert rule TABLE prerouting iifname fl* accept",
		"add set TABLE more { type ipv4_addr ; }",
		"add set TABLE more { type ipv4_addr . inet_service ; flags timeout ; }",
		"add element TABLE pods4 { 10.250.0.0/16 }",
		"add element TABLE near4 { 10.250.0.0/16 }",
		"delete element TABLE pods4 { 10.244.0.0/16 }",
		"flush set TABLE translated6",
		"flush set TABLE near6",
		"add element TABLE uplinks4 { eth7 : 192.0.2.7 }",
		"delete element TABLE uplinks4 { eth1 }; add element TABLE uplinks4 { eth1 : 192.0.2.9 }",
		"delete table TABLE; add table TABLE; add chain TABLE source; add set TABLE pods4 { type inet_service ; }",
		"delete table TABLE; add table ip " + filter.Name,
		"delete table TABLE; add table TABLE { flags dormant ; }",
	} {
		t.Run(change, func(t *testing.T) {
			t.Parallel()
			ns := nstest.New(t, "node")
			table := open(t, ns)
			apply(t, table, sample())
			want := text(t, ns)
			ns.Run(t, "nft", own(change))
			apply(t, table, sample())
			if diff := cmp.Diff(want, text(t, ns)); diff != "" {
				t.Errorf("before and after (-before +after):\n%s", diff)
			}
		})
	}
}

// The rules that drop are replaced by others that look alike: same comment, same count.
func TestApplyMendsARuleInPlace(t *testing.T) {
	ns := nstest.New(t, "node")
	table := open(t, ns)
	apply(t, table, sample())
	want := text(t, ns)
	for line := range strings.Lines(ns.Run(t, "nft", "--handle", "list", "chain", "inet", filter.Name, "source")) {
		if rule, handle, ok := strings.Cut(strings.TrimSpace(line), " # handle "); ok && strings.Contains(rule, "fib saddr") {
			ns.Run(t, "nft", "replace", "rule", "inet", filter.Name, "source", "handle", handle,
				strings.Replace(rule, " drop ", " accept ", 1))
		}
	}
	if text(t, ns) == want {
		t.Fatal("the rule was not replaced: the test shows nothing")
	}
	apply(t, table, sample())
	if diff := cmp.Diff(want, text(t, ns)); diff != "" {
		t.Errorf("before and after (-before +after):\n%s", diff)
	}
}

const theirs = `
table inet other { set pods4 { type ipv4_addr; flags interval; elements = { 1.2.3.0/24 } }
  chain input { type filter hook input priority filter; policy accept; ip saddr @pods4 counter drop; }; }
table ip fairlead { chain source { counter; }; }
table ip nat { chain POSTROUTING { type nat hook postrouting priority srcnat; ip saddr 172.17.0.0/16 masquerade; }; }
`

func TestNothingOfOthersIsTouched(t *testing.T) {
	ns := nstest.New(t, "node")
	table := open(t, ns)
	file := filepath.Join(t.TempDir(), "theirs")
	if err := os.WriteFile(file, []byte(theirs), 0o600); err != nil {
		t.Fatal(err)
	}
	ns.Run(t, "nft", "--file", file)
	before := ns.Run(t, "nft", "--handle", "list", "ruleset")
	apply(t, table, sample())
	ns.Run(t, "nft", "flush", "chain", "inet", filter.Name, "node")
	apply(t, table, dataplane.Filter{})
	if err := table.Clean(); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(before, ns.Run(t, "nft", "--handle", "list", "ruleset")); diff != "" {
		t.Errorf("ruleset before and after (-before +after):\n%s", diff)
	}
	if err := table.Clean(); err != nil {
		t.Errorf("clean twice: %v", err)
	}
}
