package dataplane

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/dataplane"
	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/flow"
	"fairlead.dev/hack/lab/topology"
)

// encapsulated is nil while the kernel of each node, or of the given ones, sends to
// the other nodes' pods as pools with that encapsulation say.
func (s *scene) encapsulated(ctx context.Context, e v1alpha1.Encapsulation, nodes ...string) error {
	all := []string{"n1", "n2", "n3", "n4"}
	if len(nodes) == 0 {
		nodes = all
	}
	for _, from := range nodes {
		for _, to := range all {
			if from == to {
				continue
			}
			if err := s.encapsulatedTo(ctx, e, from, to); err != nil {
				return err
			}
		}
	}
	return nil
}

// encapsulatedTo is encapsulated of one node's way to another's pod.
func (s *scene) encapsulatedTo(ctx context.Context, e v1alpha1.Encapsulation, from, to string) error {
	near, err := s.sameRack(from, to)
	if err != nil {
		return err
	}
	pod := s.podOf(to)
	for _, f := range families() {
		native := near && s.Node(to).Address(f).IsValid()
		overlay := e == v1alpha1.EncapsulationVXLAN || (e == v1alpha1.EncapsulationVXLANCrossSubnet && !native)
		way, err := s.Exec(ctx, from, "ip", "-o", "route", "get", pod.Address(f).String())
		if err != nil {
			return err
		}
		if strings.Contains(way, " dev "+dataplane.OverlayLink+" ") != overlay {
			return fmt.Errorf("%s sends to %s on %s so: %s", from, pod.Name, to, way)
		}
	}
	return nil
}

func (s *scene) sameRack(a, b string) (bool, error) {
	one, _, err := s.Topology().Node(a)
	if err != nil {
		return false, err
	}
	other, _, err := s.Topology().Node(b)
	return one.Name == other.Name, err
}

// dropPods makes the underlay one that passes no packet from or to a pod, until the
// end of the test.
func (s *scene) dropPods(t *testing.T) {
	t.Helper()
	var ranges []netip.Prefix
	for _, p := range s.Topology().Pools {
		ranges = append(ranges, p.CIDR)
	}
	if err := s.DropInUnderlay(t.Context(), ranges...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.UndropInUnderlay(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
}

// overlayCarries is about an underlay that drops pods' addresses: all that needs
// no overlay goes without, and all else by it.
func (s *scene) overlayCarries(t *testing.T) {
	s.dropPods(t)
	for _, f := range families() {
		if loss, err := s.Ping(t.Context(), s.a.Role(), s.c.Address(f), 2); err != nil || loss.Received != 0 {
			t.Fatalf("the underlay passes pods: %v, %v", loss, err)
		}
	}
	s.encapsulatedMeanwhile(t, v1alpha1.EncapsulationVXLANCrossSubnet)
	for _, f := range families() {
		for _, to := range []lab.Pod{s.b, s.c, s.d} {
			s.answered(t, s.a.Role(), to.Address(f))
			s.answered(t, to.Role(), s.a.Address(f))
			s.answered(t, "n1", to.Address(f))
		}
		for _, node := range []string{"n3", "n4"} { // with strict rp_filter
			s.answered(t, node, s.a.Address(f))
			s.answered(t, node, s.b.Address(f))
		}
		s.nodePort(t, f)
		s.transfer(t, s.a, s.c, f, 1500)
		s.transfer(t, s.d, s.b, f, 1500)
	}
	for _, n := range s.Nodes() {
		s.deviceIsQuiet(t, n.Name)
	}
	l := s.start(t, pair{s.a, s.c}, pair{s.d, s.b})
	for _, node := range []string{"n1", "n3"} {
		if err := s.agent(t, node).Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.more(t, enough)
	}
	s.eventually(t, "agents that were killed", func(ctx context.Context) error {
		return s.encapsulated(ctx, v1alpha1.EncapsulationVXLANCrossSubnet)
	})
	l.stopWithoutLoss(t, 0)
}

// answered waits for an answer, and then fails the test unless each of a few
// packets comes back.
func (s *scene) answered(t *testing.T, from string, to netip.Addr) {
	t.Helper()
	s.eventually(t, fmt.Sprintf("answer of %s to %s", to, from), func(ctx context.Context) error {
		loss, err := s.Ping(ctx, from, to, 1)
		if err == nil && loss.Received == 0 {
			err = fmt.Errorf("%v", loss)
		}
		return err
	})
	if loss, err := s.Ping(t.Context(), from, to, 5); err != nil || loss.Lost() != 0 {
		t.Errorf("ping from %s to %s: %v, %v", from, to, loss, err)
	}
}

// nodePort sends from outside to a port of n2 that leads to a pod in the other
// rack, as kube-proxy would make it: both addresses are translated, the sender's to
// the one that the kernel prefers on the way.
func (s *scene) nodePort(t *testing.T, f topology.Family) {
	t.Helper()
	const node, port, target = "n2", 30080, 7000
	s.translate(t, node, f, fmt.Sprintf("fib daddr type local udp dport %d", port), netip.AddrPortFrom(s.c.Address(f), target), "ct status dnat masquerade")
	way := flow.Way{
		From: s.ns(topology.RoleOutside), To: s.ns(s.c.Role()),
		Target: netip.AddrPortFrom(s.Node(node).Address(f), port), Port: target,
	}
	s.trickle(t, "node port", way)
	count, err := flow.Probe(t.Context(), way)
	if err != nil {
		t.Fatal(err)
	}
	if count.Lost() > count.Overrun || len(count.Sources) != 1 {
		t.Errorf("node port, %s: %v from %v", f, count, count.Sources)
	}
	for source := range count.Sources {
		if b := s.blockOf(t, node, f); !b.Contains(source) {
			t.Errorf("node port, %s: the pod sees %s, want an address of %s, the node's in the overlay", f, source, b)
		}
	}
}

// deviceIsQuiet looks at a node's VXLAN device: it learns nothing, and sends
// nothing to nodes that it was not told of.
func (s *scene) deviceIsQuiet(t *testing.T, node string) {
	t.Helper()
	link := s.exec(t, node, "ip", "-d", "link", "show", dataplane.OverlayLink)
	if !strings.Contains(link, "nolearning") || strings.Contains(link, "l2miss") || strings.Contains(link, " group ff") {
		t.Errorf("device of %s: %s", node, link)
	}
	fdb := s.exec(t, node, "bridge", "fdb", "show", "dev", dataplane.OverlayLink)
	if strings.Contains(fdb, "00:00:00:00:00:00") {
		t.Errorf("%s floods: %s", node, fdb)
	}
	for _, other := range s.Nodes() {
		if near, err := s.sameRack(node, other.Name); err != nil || near {
			continue
		}
		if mac := dataplane.OverlayMAC(other.Name).String(); strings.Count(fdb, mac) != 1 {
			t.Errorf("%s has not one entry for %s (%s): %s", node, other.Name, mac, fdb)
		}
	}
	for line := range strings.Lines(fdb) {
		if !strings.Contains(line, "permanent") {
			t.Errorf("%s has learned: %s", node, line)
		}
	}
}
