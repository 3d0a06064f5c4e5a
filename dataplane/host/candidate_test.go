package host

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/nstest"
)

func candidates(t *testing.T, ns nstest.NS, rule dataplane.AddressRule) []string {
	t.Helper()
	var text []string
	ns.Do(t, func() {
		got, err := Candidates(rule)
		if err != nil {
			t.Error(err)
		}
		for _, a := range got {
			text = append(text, a.String())
		}
	})
	return text
}

func interfaces(names ...string) dataplane.AddressRule {
	return dataplane.AddressRule{Interfaces: names}
}

func ranges(texts ...string) (r dataplane.AddressRule) {
	for _, text := range texts {
		r.CIDRs = append(r.CIDRs, netip.MustParsePrefix(text))
	}
	return r
}

func canReach(texts ...string) (r dataplane.AddressRule) {
	for _, text := range texts {
		r.CanReach = append(r.CanReach, netip.MustParseAddr(text))
	}
	return r
}

// uplinked has three uplinks, of which the last was plugged in first, with what
// else may be on a node.
func uplinked(t *testing.T) nstest.NS {
	ns := nstest.New(t, "candidate")
	for _, args := range [][]string{
		{"link", "add", "eth10", "type", "veth", "peer", "name", "far10"},
		{"link", "add", "eth2", "type", "veth", "peer", "name", "far2"},
		{"link", "add", "eth1", "type", "veth", "peer", "name", "far1"},
		{"link", "add", "flaaaaaaaaaaaaa", "type", "veth", "peer", "name", "pod0"},
		{"link", "set", "eth10", "up"},
		{"link", "set", "far10", "up"},
		{"link", "set", "eth2", "up"},
		{"link", "set", "far2", "up"},
		{"link", "set", "flaaaaaaaaaaaaa", "up"},
		{"addr", "add", "10.2.0.5/32", "dev", "eth2"},   // wanders between nodes
		{"addr", "add", "10.2.0.200/24", "dev", "eth2"}, // and this is the link's own
		{"addr", "add", "10.2.0.20/24", "dev", "eth2"},  // secondary
		{"addr", "add", "10.10.0.9/24", "dev", "eth10"},
		{"addr", "add", "2001:db8:10::9/64", "dev", "eth10", "nodad"},
		{"addr", "add", "2001:db8:10::8/64", "dev", "eth10", "nodad", "valid_lft", "3600", "preferred_lft", "1800"},
		{"addr", "add", "2001:db8:10::7/64", "dev", "eth10", "nodad", "preferred_lft", "0"},
		{"addr", "add", "10.1.0.9/24", "dev", "eth1"}, // which is down
		{"addr", "add", "203.0.113.7/32", "dev", "lo"},
		{"addr", "add", "fe80::7/64", "dev", "eth2", "nodad"},
		{"addr", "add", "10.244.0.1/32", "dev", "flaaaaaaaaaaaaa"},
	} {
		ns.Run(t, "ip", args...)
	}
	// An address that is checked for duplicates, for longer than any test runs.
	ns.Run(t, "sysctl", "-q", "-w", "net.ipv6.conf.eth10.dad_transmits=10000")
	ns.Run(t, "ip", "addr", "add", "2001:db8:10::2/64", "dev", "eth10")
	return ns
}

func TestCandidates(t *testing.T) {
	ns := uplinked(t)
	eth2 := []string{"10.2.0.200", "10.2.0.20", "10.2.0.5"}
	eth10 := []string{"10.10.0.9", "2001:db8:10::9", "2001:db8:10::8", "2001:db8:10::7"}
	for name, c := range map[string]struct {
		rule dataplane.AddressRule
		want []string
	}{
		"no rule":                    {dataplane.AddressRule{}, nil},
		"one link":                   {interfaces("eth2"), eth2},
		"a link that is down":        {interfaces("eth1"), nil},
		"no such link":               {interfaces("bond0"), nil},
		"a pod's link is no uplink":  {interfaces("fl*"), nil},
		"in the order of the names":  {interfaces("eth10", "eth2"), slices.Concat(eth10, eth2)},
		"a wildcard, eth2 before 10": {interfaces("eth*"), slices.Concat(eth2, eth10)},
		"first match counts":         {interfaces("eth10", "eth*"), slices.Concat(eth10, eth2)},
		"the loopback, if asked for": {interfaces("lo"), []string{"203.0.113.7"}},
		"a range":                    {ranges("10.2.0.0/24"), eth2},
		"ranges in their order":      {ranges("2001:db8:10::/64", "10.10.0.0/16"), slices.Concat(eth10[1:], eth10[:1])},
		"a range across links":       {ranges("10.0.0.0/8"), []string{"10.2.0.200", "10.10.0.9", "10.2.0.20", "10.2.0.5"}},
		"a range of nobody":          {ranges("192.0.2.0/24"), nil},
	} {
		if diff := cmp.Diff(c.want, candidates(t, ns, c.rule)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// The kernel sends from where its route says; a route through two uplinks has two
// sources, and that which it takes now comes first.
func TestCandidatesThatReach(t *testing.T) {
	ns := uplinked(t)
	reach := canReach("192.0.2.1", "2001:db8:ff::1")
	if got := candidates(t, ns, reach); got != nil {
		t.Errorf("without any route: %v", got)
	}
	ns.Run(t, "ip", "route", "add", "192.0.2.0/24", "via", "10.10.0.1")
	ns.Run(t, "ip", "route", "add", "2001:db8:ff::/64", "via", "2001:db8:10::1")
	_, taken, _ := strings.Cut(ns.Run(t, "ip", "route", "get", "2001:db8:ff::1"), " src ") // of the link's three
	if diff := cmp.Diff([]string{"10.10.0.9", strings.Fields(taken)[0]}, candidates(t, ns, reach)); diff != "" {
		t.Errorf("one path (-want +got):\n%s", diff)
	}
	ns.Run(t, "ip", "route", "replace", "192.0.2.0/24", "via", "10.2.0.1", "src", "10.2.0.20")
	if diff := cmp.Diff([]string{"10.2.0.20"}, candidates(t, ns, canReach("192.0.2.1"))); diff != "" {
		t.Errorf("a route with a source (-want +got):\n%s", diff)
	}
	ns.Run(t, "ip", "route", "replace", "192.0.2.0/24", "nexthop", "via", "10.2.0.1", "nexthop", "via", "10.10.0.1")
	got := candidates(t, ns, canReach("192.0.2.1"))
	if len(got) != 2 {
		t.Errorf("two paths: %v, want the source of each", got)
	}
	for _, kind := range []string{"blackhole", "unreachable", "prohibit"} {
		ns.Run(t, "ip", "route", "replace", kind, "192.0.2.0/24")
		if got := candidates(t, ns, canReach("192.0.2.1")); got != nil {
			t.Errorf("by a route of type %s: %v", kind, got)
		}
	}
}

// A renamed link, one that was plugged in anew, an address that moved: what is
// found follows, at once.
func TestCandidatesFollowTheNode(t *testing.T) {
	ns := uplinked(t)
	rule := interfaces("uplink*")
	for _, step := range []struct {
		do   []string
		want []string
	}{
		{[]string{"link", "set", "eth10", "down"}, nil},
		{[]string{"link", "set", "eth10", "name", "uplink0"}, nil},
		{[]string{"link", "set", "uplink0", "up"}, []string{"10.10.0.9"}}, // IPv6 addresses go with the link
		{[]string{"addr", "del", "10.10.0.9/24", "dev", "uplink0"}, nil},
		{[]string{"addr", "add", "10.10.0.9/24", "dev", "eth2"}, nil},
		{[]string{"link", "del", "uplink0"}, nil},
		{[]string{"link", "add", "uplink0", "type", "veth", "peer", "name", "far10"}, nil},
		{[]string{"link", "set", "uplink0", "up"}, nil},
		{[]string{"addr", "add", "10.11.0.9/24", "dev", "uplink0"}, []string{"10.11.0.9"}},
	} {
		ns.Run(t, "ip", step.do...)
		if diff := cmp.Diff(step.want, candidates(t, ns, rule)); diff != "" {
			t.Errorf("after ip %v (-want +got):\n%s", step.do, diff)
		}
	}
	if diff := cmp.Diff([]string{"10.10.0.9"}, candidates(t, ns, ranges("10.10.0.0/24"))); diff != "" {
		t.Errorf("the address on its new link (-want +got):\n%s", diff)
	}
}
