package dataplane

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/labtest"
	"fairlead.dev/hack/lab/topology"
)

const (
	// bound is how long anything may take, on a busy machine.
	bound = 45 * time.Second
	// cooling is the controller's, short so that what a scenario leaves goes soon.
	cooling = 3 * time.Second
)

// scene is a lab that scenarios share, each leaving it as it found it.
type scene struct {
	*lab.Lab
	// a, b, c, d are pods on n1 to n4: a and b in one rack, c and d in the other,
	// which is another subnet.
	a, b, c, d lab.Pod
}

// routed is the default topology, two racks with an FRR and a BIRD ToR each, and a
// host outside that knows nothing of pods.
func routed() topology.Topology {
	topo := topology.Default()
	topo.Spare = []netip.Prefix{netip.MustParsePrefix(leavingPool)}
	topo.Outside = topology.Pair{V4: netip.MustParsePrefix("198.51.100.0/24"), V6: netip.MustParsePrefix("fd00:198:51:100::/64")}
	return topo
}

func TestDataplane(t *testing.T) {
	s := up(t, routed())
	labtest.Run(t, s.Lab, s.WaitConverged, []labtest.Scenario{
		{Name: "a quiet flow loses nothing", Run: s.quiet},
		{Name: "routes drift", Run: s.routesDrift},
		{Name: "all routes are flushed under load", Run: s.routesFlushed},
		{Name: "unassigned addresses do not bounce", Run: s.unassigned},
		{Name: "the overlay carries what the underlay drops", Run: s.overlayCarries},
		{Name: "the encapsulation changes under load", Run: s.switched},
		{Name: "a node is behind while the encapsulation changes", Run: s.oneIsBehind},
		{Name: "pods talk to the outside", Run: s.natOutgoing},
		{Name: "pods of a pool that drains talk to the outside", Run: s.poolDrains},
		{Name: "a ToR dies under connections to the outside", Run: s.torDies},
		{Name: "a node has a firewalld", Run: s.firewalld},
		{Name: "a pod sends from others' addresses", Run: s.spoofed},
		{Name: "a pod claims to be others and a router", Run: s.claimed},
		{Name: "the gateway's address has no services", Run: s.gatewayServes},
		{Name: "an uplink is taken down, renamed and resized", Run: s.uplinkChanges},
		{Name: "nodes are addressed by rule", Run: s.addressesByRule},
		{Name: "a node changes its subnet", Run: s.subnetChanges},
		{Name: "a machine becomes a node and leaves no trace", Run: s.traceless},
	})
}

func up(t *testing.T, topo topology.Topology) *scene {
	t.Helper()
	s := &scene{Lab: labtest.Up(t, lab.Options{
		Topology: &topo, ControllerArgs: []string{"--cooling-period", cooling.String()},
	})}
	for _, n := range s.Nodes() {
		s.checkReturnPath(t, n.Name, n.Name != looseNode)
	}
	s.a, s.b, s.c, s.d = s.addPod(t, "n1", "a"), s.addPod(t, "n2", "b"), s.addPod(t, "n3", "c"), s.addPod(t, "n4", "d")
	return s
}

// podOf is the pod of a node.
func (s *scene) podOf(node string) lab.Pod {
	return map[string]lab.Pod{"n1": s.a, "n2": s.b, "n3": s.c, "n4": s.d}[node]
}

// looseNode has no strict rp_filter: packets may come back to it by another uplink
// than they went by. The other nodes have the strictest that there is.
const looseNode = "n1"

// checkReturnPath sets a node's rp_filter (RFC 3704) of links that are there and of
// those that come: a packet must come in by the link that the way back goes by.
func (s *scene) checkReturnPath(t *testing.T, node string, strict bool) {
	t.Helper()
	value := "=0"
	if strict {
		value = "=1"
	}
	s.exec(t, node, "sysctl", "-q", "-w", "net.ipv4.conf.all.rp_filter"+value, "net.ipv4.conf.default.rp_filter"+value)
}

func families() []topology.Family { return []topology.Family{topology.V4, topology.V6} }

// addPod adds a pod, which is gone at the end of the test if it is not before.
func (s *scene) addPod(t *testing.T, node, name string) lab.Pod {
	t.Helper()
	return labtest.AddPod(t, s.Lab, s.AddPod, node, name)
}

func (s *scene) eventually(t *testing.T, what string, try func(context.Context) error) time.Duration {
	t.Helper()
	return labtest.Eventually(t, s.Lab, bound, what, try)
}

// exec runs a command in a role's namespace, which must succeed.
func (s *scene) exec(t *testing.T, role string, argv ...string) string {
	t.Helper()
	// Also at the test's end, when its context is done.
	out, err := s.Exec(context.WithoutCancel(t.Context()), role, argv...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// agent of a node, to kill, stop and start.
func (s *scene) agent(t *testing.T, node string) *lab.Process {
	t.Helper()
	return labtest.Agent(t, s.Lab, node)
}

// blockOf is the block that a node holds of a family's pool.
func (s *scene) blockOf(t *testing.T, node string, f topology.Family) netip.Prefix {
	t.Helper()
	blocks, err := s.Blocks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	block, ok := blocks[lab.Holder{Node: node, Pool: poolOf(f)}]
	if !ok {
		t.Fatalf("%s has no %s block", node, f)
	}
	return block
}

// poolOf is the name of a family's pool.
func poolOf(f topology.Family) string {
	return map[topology.Family]string{topology.V4: "pods-v4", topology.V6: "pods-v6"}[f]
}
