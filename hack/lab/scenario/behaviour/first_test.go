package behaviour

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/topology"
)

// newcomer is a node that pods are kept off until Fairlead serves there, and whose
// addresses the Node does not tell at first, as with an external cloud provider.
func (s *scene) newcomer(t *testing.T) {
	const name = "n7"
	n, err := s.AddMachine(t.Context(), s.Topology().Racks[0].Name, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.RemoveNode(context.WithoutCancel(t.Context()), name); err != nil {
			t.Error(err)
		}
	})
	node, err := lab.NodeObject(s.Topology(), name)
	if err != nil {
		t.Fatal(err)
	}
	addresses := node.Status.Addresses
	node.Status.Addresses = nil
	node.Spec.Taints = []corev1.Taint{{Key: v1alpha1.AgentNotReadyTaint, Effect: corev1.TaintEffectNoSchedule}}
	node.Status.Conditions = append(node.Status.Conditions, corev1.NodeCondition{
		Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionTrue, Reason: "NoRouteCreated",
	})
	s.create(t, node)
	if err := s.JoinNode(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	s.eventually(t, "the newcomer is open to pods", func(ctx context.Context) error {
		if err := s.Client().Get(ctx, client.ObjectKeyFromObject(node), node); err != nil {
			return err
		}
		closed := slices.ContainsFunc(node.Spec.Taints, func(x corev1.Taint) bool { return x.Key == v1alpha1.AgentNotReadyTaint }) ||
			slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
				return c.Type == corev1.NodeNetworkUnavailable && c.Status != corev1.ConditionFalse
			})
		if closed {
			return fmt.Errorf("taints %+v, conditions %+v", node.Spec.Taints, node.Status.Conditions)
		}
		return nil
	})
	if err := s.ready(t.Context(), name, 200, "ok"); err != nil {
		t.Errorf("opened without an agent that is ready: %v", err)
	}
	pod := s.addPod(t, name, "early")
	s.eventually(t, "the newcomer's addresses are told", func(ctx context.Context) error {
		if err := s.Client().Get(ctx, client.ObjectKeyFromObject(node), node); err != nil {
			return err
		}
		node.Status.Addresses = addresses
		return s.Client().Status().Update(ctx, node)
	})
	s.eventually(t, "they are its BGPNode's", func(ctx context.Context) error {
		b := &v1alpha1.BGPNode{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if err := s.Client().Get(ctx, client.ObjectKeyFromObject(b), b); err != nil {
			return err
		}
		if len(b.Spec.Addresses) != 2 || b.Spec.RouterID != n.Address(topology.V4).String() {
			return fmt.Errorf("%+v", b.Spec)
		}
		return nil
	})
	if err := s.WaitConverged(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, f := range s.Topology().Families() {
		s.answered(t, s.c, pod.Address(f))
	}
	s.delPod(t, "early")
}

// ofTheNode is a BIRD that has the BGP port of a node, for purposes of its own.
const ofTheNode = `router id 192.0.2.99;
protocol device {}
protocol bgp { local 127.0.0.1 as 64999; neighbor 127.0.0.2 as 64998; multihop; passive; ipv4 { import none; export none; }; }
`

// portTaken starts an agent on a node where a router of its own listens already.
func (s *scene) portTaken(t *testing.T) {
	const name = "n2"
	dir := t.TempDir()
	conf := filepath.Join(dir, "bird.conf")
	if err := os.WriteFile(conf, []byte(ofTheNode), 0o600); err != nil {
		t.Fatal(err)
	}
	listens := func(want string) func(context.Context) error {
		return func(ctx context.Context) error {
			out, err := s.Exec(ctx, name, "ss", "-Hltnp", "sport = :179")
			if err == nil && !strings.Contains(out, want) {
				err = fmt.Errorf("on port 179 listens %q, want %s", out, want)
			}
			return err
		}
	}
	if err := s.agent(t, name).Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	bird, err := s.StartProcess(name+"-bird", s.EnterCommand(name, "bird", "-f", "-c", conf, "-s", filepath.Join(dir, "ctl"), "-P", filepath.Join(dir, "pid"))...)
	if err != nil {
		t.Fatal(err)
	}
	s.eventually(t, "the node's own router listens", listens(`"bird"`))
	s.startAgent(t, name)
	s.holds(t, nodeState(name), v1alpha1.ConditionConfigAccepted, metav1.ConditionFalse, "ObjectsNotUsed", "TCP port 179 is taken", "listenPort of the BGPConfiguration")
	s.holds(t, nodeState(name), v1alpha1.ConditionSessionsEstablished, metav1.ConditionTrue, "AllEstablished")
	if err := s.WaitConverged(t.Context()); err != nil {
		t.Error(err)
	}
	s.connected(t)
	if err := bird.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.eventually(t, "the agent listens in its place", listens(`"fairlead-agent"`))
	s.holds(t, nodeState(name), v1alpha1.ConditionConfigAccepted, metav1.ConditionTrue, "Accepted")
	if err := s.WaitConverged(t.Context()); err != nil {
		t.Error(err)
	}
	s.connected(t)
}
