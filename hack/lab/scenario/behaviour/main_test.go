package behaviour

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/labtest"
	"fairlead.dev/hack/lab/topology"
)

const (
	// nodeGrace and cooling are the controller's, short so that their ends are seen.
	nodeGrace = 5 * time.Second
	cooling   = 3 * time.Second
	// bound is how long anything may take, on a busy machine.
	bound = 45 * time.Second
)

// scene is a lab that scenarios share, each leaving it as it found it.
type scene struct {
	*lab.Lab
	// a, b, c are pods on n1 and n2 of one rack and n3 of the other.
	a, b, c lab.Pod
}

// routed is the default topology with a session key of every kind: the nodes
// dial an FRR ToR with a key and a BIRD ToR without, and are dialled by both
// kinds with one.
func routed() topology.Topology {
	topo := topology.Default()
	topo.Racks[0].ToRs[0].Password = "by-range-frr"
	topo.Racks[1].ToRs[0].Password, topo.Racks[1].ToRs[0].DialsNodes = "dialled-by-frr", true
	topo.Racks[1].ToRs[1].Password, topo.Racks[1].ToRs[1].DialsNodes = "dialled-by-bird", true
	topo.Spare = []netip.Prefix{
		netip.MustParsePrefix("10.98.0.0/16"), netip.MustParsePrefix("10.99.0.0/16"), netip.MustParsePrefix("fd00:99::/64"),
	}
	return topo
}

func TestBehaviour(t *testing.T) {
	topo := routed()
	s := &scene{Lab: labtest.Up(t, lab.Options{
		Topology:       &topo,
		ControllerArgs: []string{"--node-grace-period", nodeGrace.String(), "--cooling-period", cooling.String()},
		AgentArgs:      []string{"--node-grace-period", nodeGrace.String()},
	})}
	s.a, s.b, s.c = s.addPod(t, "n1", "a"), s.addPod(t, "n2", "b"), s.addPod(t, "n3", "c")
	labtest.Run(t, s.Lab, s.WaitConverged, []labtest.Scenario{
		{Name: "status agrees with the world", Run: s.statusAgrees},
		{Name: "CLI agrees with the world", Run: s.commandAgrees},
		{Name: "kubectl reads well", Run: s.columns},
		{Name: "a ToR is down", Run: s.torDown},
		{Name: "pool is carved for its nodes", Run: s.poolCarved},
		{Name: "pool is drained", Run: s.poolDrained},
		{Name: "node runs out of addresses", Run: s.nodeExhausted},
		{Name: "node grows", Run: s.nodeGrows},
		{Name: "attachments outlive the store", Run: s.attachmentsOutlive},
		{Name: "pools are disabled", Run: s.poolsDisabled},
		{Name: "peers follow their fields", Run: s.peerFields},
		{Name: "peers wait and try again", Run: s.peerDials},
		{Name: "keys change", Run: s.keysChange},
		{Name: "the most specific configuration governs", Run: s.configuration},
		{Name: "a node is reached by another address", Run: s.addressFound},
		{Name: "an agent does not answer", Run: s.agentSilent},
		{Name: "mistakes are said and isolated", Run: s.mistakes},
		{Name: "a node comes, and its addresses later", Run: s.newcomer},
		{Name: "the BGP port is taken", Run: s.portTaken},
		{Name: "unknown settings", Run: s.unknownSettings},
		{Name: "runtime calls amiss", Run: s.runtimeAmiss},
		{Name: "the CNI configuration is kept", Run: s.configurationKept},
		{Name: "other CNI configurations are reported", Run: s.rivalsReported},
		{Name: "a node is upgraded and downgraded under live pods", Run: s.upgraded},
		{Name: "a node is uninstalled under live pods", Run: s.uninstalled},
	})
}

// eventually tries until it is so, and returns how long it took.
func (s *scene) eventually(t *testing.T, what string, try func(context.Context) error) time.Duration {
	t.Helper()
	return labtest.Eventually(t, s.Lab, bound, what, try)
}

// addPod adds a pod, which is gone at the end of the test if it is not before.
func (s *scene) addPod(t *testing.T, node, name string) lab.Pod {
	t.Helper()
	return labtest.AddPod(t, s.Lab, s.AddPod, node, name)
}

// addPodOnce is addPod on n1 whose first ADD must succeed.
func (s *scene) addPodOnce(t *testing.T, name string) lab.Pod {
	t.Helper()
	return labtest.AddPod(t, s.Lab, s.AddPodOnce, "n1", name)
}

func (s *scene) delPod(t *testing.T, name string) {
	t.Helper()
	if err := s.DelPod(t.Context(), name); err != nil {
		t.Fatal(err)
	}
}

// connected fails the test unless pods of one rack and of both reach each other.
func (s *scene) connected(t *testing.T) {
	t.Helper()
	for _, f := range s.Topology().Families() {
		s.answered(t, s.a, s.b.Address(f))
		s.answered(t, s.c, s.a.Address(f))
	}
}

// answered fails the test unless each of a few packets comes back.
func (s *scene) answered(t *testing.T, from lab.Pod, to netip.Addr) {
	t.Helper()
	loss, err := s.Ping(t.Context(), from.Role(), to, 5)
	if err != nil {
		t.Error(err)
	} else if loss.Lost() != 0 {
		t.Errorf("ping from %s to %s: %v", from.Name, to, loss)
	}
}

// blocks are a pool's, by node.
func (s *scene) blocks(ctx context.Context, pool string) (map[string]v1alpha1.IPBlock, error) {
	var list v1alpha1.IPBlockList
	if err := s.Client().List(ctx, &list); err != nil {
		return nil, fmt.Errorf("list blocks: %w", err)
	}
	of := map[string]v1alpha1.IPBlock{}
	for _, b := range list.Items {
		if b.Spec.PoolName == pool {
			of[b.Spec.NodeName] = b
		}
	}
	return of, nil
}

// block is the one that a node holds from a pool.
func (s *scene) block(t *testing.T, node, pool string) netip.Prefix {
	t.Helper()
	of, err := s.Blocks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p, ok := of[lab.Holder{Node: node, Pool: pool}]
	if !ok {
		t.Fatalf("node %s has no block of pool %s", node, pool)
	}
	return p
}

func (s *scene) state(t *testing.T, node string) v1alpha1.NodeStateStatus {
	t.Helper()
	n := &v1alpha1.NodeState{}
	if err := s.Client().Get(t.Context(), client.ObjectKey{Name: node}, n); err != nil {
		t.Fatal(err)
	}
	return n.Status
}
