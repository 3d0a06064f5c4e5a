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
	tick  = 100 * time.Millisecond
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
	for _, scenario := range []struct {
		name string
		run  func(*scene, *testing.T)
	}{
		{"status agrees with the world", (*scene).statusAgrees},
		{"CLI agrees with the world", (*scene).commandAgrees},
		{"kubectl reads well", (*scene).columns},
		{"a ToR is down", (*scene).torDown},
		{"pool is carved for its nodes", (*scene).poolCarved},
		{"pool is drained", (*scene).poolDrained},
		{"node runs out of addresses", (*scene).nodeExhausted},
		{"node grows", (*scene).nodeGrows},
		{"attachments outlive the store", (*scene).attachmentsOutlive},
		{"pools are disabled", (*scene).poolsDisabled},
		{"peers follow their fields", (*scene).peerFields},
		{"peers wait and try again", (*scene).peerDials},
		{"keys change", (*scene).keysChange},
		{"the most specific configuration governs", (*scene).configuration},
		{"a node is reached by another address", (*scene).addressFound},
		{"an agent does not answer", (*scene).agentSilent},
		{"mistakes are said and isolated", (*scene).mistakes},
		{"unknown settings", (*scene).unknownSettings},
		{"runtime calls amiss", (*scene).runtimeAmiss},
		{"the CNI configuration is kept", (*scene).configurationKept},
		{"other CNI configurations are reported", (*scene).rivalsReported},
		{"a node is upgraded and downgraded under live pods", (*scene).upgraded},
		{"a node is uninstalled under live pods", (*scene).uninstalled},
	} {
		t.Run(scenario.name, func(t *testing.T) {
			if err := s.Dead(); err != nil {
				t.Skip("a process of the lab ended by itself before")
			}
			if err := s.WaitConverged(t.Context()); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			scenario.run(s, t)
			t.Logf("took %v", time.Since(began).Round(100*time.Millisecond))
		})
	}
}

// eventually calls try until it returns nil and fails the test with its last
// error if that is not within the bound. It returns how long it took.
func (s *scene) eventually(t *testing.T, what string, try func(context.Context) error) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		err := try(t.Context())
		took := time.Since(began)
		if err == nil {
			return took
		}
		if dead := s.Dead(); dead != nil {
			t.Fatalf("%s: %v", what, dead)
		}
		if took > bound {
			t.Fatalf("%s: not within %v: %v", what, bound, err)
		}
		select {
		case <-t.Context().Done():
			t.Fatal(what, t.Context().Err())
		case <-time.After(tick):
		}
	}
}

// addPod adds a pod, which is gone at the end of the test if it is not before.
func (s *scene) addPod(t *testing.T, node, name string) lab.Pod {
	t.Helper()
	return s.addPodBy(t, s.AddPod, node, name)
}

// addPodOnce is addPod on n1 whose first ADD must succeed.
func (s *scene) addPodOnce(t *testing.T, name string) lab.Pod {
	t.Helper()
	return s.addPodBy(t, s.AddPodOnce, "n1", name)
}

func (s *scene) addPodBy(t *testing.T, add func(context.Context, string, string) (lab.Pod, error), node, name string) lab.Pod {
	t.Helper()
	pod, err := add(t.Context(), node, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := s.Pod(name); err != nil {
			return
		}
		if err := s.DelPod(context.WithoutCancel(t.Context()), name); err != nil {
			t.Error(err)
		}
	})
	return pod
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
