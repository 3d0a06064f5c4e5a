package plan_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/controller/plan"
	"fairlead.dev/dataplane"
)

// natSnapshot is a node with its own address on lo, and uplinks.
func natSnapshot(links ...string) plan.Snapshot {
	s := plan.Snapshot{Local: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}, NAT: plan.NAT{Default4: links}}
	s.Intent.Node.Spec = v1alpha1.BGPNodeSpec{Addresses: []string{"192.0.2.1"}, RouterID: "192.0.2.1"}
	s.Intent.Ranges = []v1alpha1.AddressPlanEntry{}
	return s
}

func filterOf(s plan.Snapshot) dataplane.Filter {
	p, _ := plan.Compute(s)
	return p.Filter
}

// TestUplinks walks through the life of two ToRs: each step is the links of the
// default route, and the links then translated to the node's address.
func TestUplinks(t *testing.T) {
	for name, steps := range map[string][][2]string{
		"one uplink":            {{"eth1", ""}, {"", ""}, {"eth1", ""}},
		"a second comes":        {{"eth1", ""}, {"eth1 eth2", "eth1 eth2"}},
		"each fails":            {{"eth1 eth2", "eth1 eth2"}, {"eth1", "eth1 eth2"}, {"eth1 eth2", "eth1 eth2"}, {"eth2", "eth1 eth2"}},
		"both fail":             {{"eth1 eth2", "eth1 eth2"}, {"", "eth1 eth2"}, {"eth2", "eth1 eth2"}, {"eth1", "eth1 eth2"}},
		"a third comes":         {{"eth1 eth2", "eth1 eth2"}, {"eth1 eth3", "eth1 eth3"}, {"eth3", "eth1 eth3"}},
		"it goes somewhere new": {{"eth1 eth2", "eth1 eth2"}, {"eth0", ""}, {"eth1", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			var held dataplane.Filter
			for i, step := range steps {
				s := natSnapshot(strings.Fields(step[0])...)
				s.NAT.Held = held
				held = filterOf(s)
				var got []string
				for _, u := range held.Uplinks {
					if u.Address != netip.MustParseAddr("192.0.2.1") {
						t.Errorf("step %d: %s translates to %s", i, u.Link, u.Address)
					}
					got = append(got, u.Link)
				}
				if strings.Join(got, " ") != step[1] {
					t.Errorf("step %d: default by %q translates on %v, want %q", i, step[0], got, step[1])
				}
			}
		})
	}
}

// An address that the node has not is never translated to: no answer comes back.
func TestUplinksNeedTheNodesAddress(t *testing.T) {
	s := natSnapshot("eth1", "eth2")
	s.Local = nil
	if got := filterOf(s).Uplinks; got != nil {
		t.Errorf("uplinks are %v", got)
	}
}

// While no AddressPlan is known nothing is forgotten.
func TestNATWithoutAddressPlan(t *testing.T) {
	s := natSnapshot("eth1", "eth2")
	s.Intent.Ranges = nil
	s.NAT.Held = dataplane.Filter{
		Pods:       []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16")},
		Translated: []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16")},
	}
	got := filterOf(s)
	got.Uplinks = nil
	if diff := cmp.Diff(s.NAT.Held, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("filter (-want +got):\n%s", diff)
	}
}
