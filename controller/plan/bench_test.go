package plan_test

import (
	"net/netip"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/bgp"
	"fairlead.dev/controller/plan"
)

// benchRoutes is how many learned routes the benchmark plans for.
const benchRoutes = 100_000

// BenchmarkCompute is a node of a large fabric, with one session.
func BenchmarkCompute(b *testing.B) {
	s := plan.Snapshot{
		Intent: plan.Intent{
			Node: v1alpha1.BGPNode{
				ObjectMeta: metav1.ObjectMeta{Name: "n1"},
				Spec:       v1alpha1.BGPNodeSpec{Addresses: []string{"192.0.2.1"}, ASNumber: 65101, RouterID: "192.0.2.1"},
			},
			Ranges: []v1alpha1.AddressPlanEntry{{CIDR: "10.0.0.0/8", BlockSize: 26}},
			Peers:  []v1alpha1.BGPPeer{{Spec: v1alpha1.BGPPeerSpec{Address: "192.0.2.2", ASNumber: 65001}}},
		},
		Local: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("fe80::1/64")},
	}
	hops := []netip.Addr{netip.MustParseAddr("192.0.2.2")}
	for i := range benchRoutes {
		n := 10<<24 | i<<6
		s.RIB = append(s.RIB, bgp.Route{
			Prefix:   netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), 26),
			NextHops: hops, Peers: hops,
		})
	}
	b.ReportAllocs()
	for b.Loop() {
		if p, problems := plan.Compute(s); len(p.Routes) != benchRoutes {
			b.Fatal(len(p.Routes), problems)
		}
	}
}
