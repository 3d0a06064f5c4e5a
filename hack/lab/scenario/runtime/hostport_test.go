package runtime

import (
	"net/netip"
	"testing"

	"fairlead.dev/hack/lab/topology"
)

// backends of portmap.
func backends() []string { return []string{"nftables", "iptables"} }

// hostPorts are those of pods that cnitool makes, over both of portmap's backends.
func (s *scene) hostPorts(t *testing.T) {
	for _, backend := range backends() {
		t.Run(backend, func(t *testing.T) {
			c := s.chain(t, "ports-"+backend, plugin{
				"type": "portmap", "snat": true, "backend": backend, "capabilities": map[string]bool{"portMappings": true},
			})
			c.wants(map[string]any{"portMappings": []map[string]any{
				{"hostPort": 30090, "containerPort": 8080, "protocol": "tcp"}, {"hostPort": 30090, "containerPort": 8080, "protocol": "udp"},
			}})
			pod := c.add(t, "ported")
			s.serve(t, pod)
			s.hostPortServed(t, "30090", pod.address)
			for _, f := range families() { // the pod itself
				s.asked(t, s.machine.from(pod.name, pod.path()), s.Node(node).Address(f), "30090", pod.address(f))
			}
			c.check(t, pod)
			c.del(t, pod)
			s.hostPortGone(t, "30090")
		})
	}
}

// hostPortServed fails the test unless the node's port leads to the pod, from
// wherever a client is.
func (s *scene) hostPortServed(t *testing.T, port string, pod func(topology.Family) netip.Addr) {
	t.Helper()
	rack := s.Topology().Racks[0]
	for _, f := range families() {
		to := s.Node(node).Address(f)
		// The pod sees who asks: nothing translates a client's address.
		if seen := s.asked(t, s.from(s.far.Role()), to, port, pod(f)); seen != s.far.Address(f) {
			t.Errorf("the pod was asked by %s, want %s", seen, s.far.Address(f))
		}
		if seen := s.asked(t, s.from(other), to, port, pod(f)); seen != s.Node(other).Address(f) {
			t.Errorf("the pod was asked by %s, want %s", seen, s.Node(other).Address(f))
		}
		for _, tor := range rack.ToRs {
			s.asked(t, s.from(tor.Name), to, port, pod(f))
		}
		s.asked(t, s.from(node), to, port, pod(f))
	}
	s.asked(t, s.from(node), netip.MustParseAddr("127.0.0.1"), port, pod(topology.V4))
}

func (s *scene) hostPortGone(t *testing.T, port string) {
	t.Helper()
	for _, f := range families() {
		for _, role := range []string{other, node} {
			s.refused(t, s.from(role), s.Node(node).Address(f), port)
		}
	}
	s.refused(t, s.from(node), netip.MustParseAddr("127.0.0.1"), port)
}
