package dataplane

import (
	"context"
	"testing"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/dataplane"
	"fairlead.dev/hack/lab/labtest"
	"fairlead.dev/hack/lab/topology"
)

// TestIPv6Underlay is about racks and a fabric that have no IPv4, and pods that do.
func TestIPv6Underlay(t *testing.T) {
	topo := topology.Default().Only(topology.V6)
	topo.Pools = topology.Default().Pools
	s := up(t, topo)
	labtest.Run(t, s.Lab, s.WaitConverged, []labtest.Scenario{
		{Name: "pods of both families talk over IPv6", Run: s.overIPv6},
	})
}

// overIPv6 has what is encapsulated go over IPv6, of IPv4 everything: no native way
// leads to such a node. Agents are killed and the encapsulation changes without a
// lost packet.
func (s *scene) overIPv6(t *testing.T) {
	s.encapsulatedMeanwhile(t, v1alpha1.EncapsulationVXLANCrossSubnet)
	const more = dataplane.OverlayOverhead6 - dataplane.OverlayOverhead4
	for _, f := range families() {
		s.answered(t, s.a.Role(), s.b.Address(f))
		s.answered(t, "n1", s.c.Address(f))
		s.transfer(t, s.a, s.c, f, 1500-more)
		s.transfer(t, s.d, s.b, f, 1500-more)
	}
	for _, n := range s.Nodes() {
		s.deviceIsQuiet(t, n.Name)
	}
	l := s.start(t, pair{s.a, s.b}, pair{s.a, s.c}, pair{s.d, s.a})
	if err := s.agent(t, "n1").Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.more(t, enough)
	s.eventually(t, "the agent that was killed", func(ctx context.Context) error {
		return s.encapsulated(ctx, v1alpha1.EncapsulationVXLANCrossSubnet)
	})
	changes := []v1alpha1.Encapsulation{v1alpha1.EncapsulationVXLAN, v1alpha1.EncapsulationVXLANCrossSubnet}
	for _, e := range changes {
		s.encapsulate(t, e)
		l.more(t, enough)
	}
	l.stopWithoutLoss(t, len(changes))
}
