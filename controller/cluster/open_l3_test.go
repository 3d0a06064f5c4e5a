package cluster

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
)

// A node that pods are kept off is opened by its agent's first readiness, and by
// nothing before it; what others put there stays.
func TestNodeIsOpened(t *testing.T) {
	e := newEnv(t)
	node := keptOff(newNode("n", 0, nil))
	node.Status.NodeInfo.BootID = "boot"
	node.Status.Conditions = append(node.Status.Conditions, corev1.NodeCondition{
		Type: corev1.NodeDiskPressure, Status: corev1.ConditionTrue, Reason: "Full", Message: "of logs",
	})
	e.create(newPool("p", "10.7.0.0/24", 26), node)
	e.start(quick())
	block := e.leased("n", "p")

	state := readyState(node, block.Spec.CIDR).Status
	state.BootID = "boot before"
	e.reports("n", state)
	e.beats("n")
	e.stillKeptOff(node)

	state.BootID = "boot"
	e.reports("n", state)
	e.eventually("the node is open", func() string {
		e.ok(e.Get(t.Context(), client.ObjectKeyFromObject(node), node))
		if len(startupTaints(node)) > 0 || unavailable(node) {
			return fmt.Sprintf("taints %+v, conditions %+v", node.Spec.Taints, node.Status.Conditions)
		}
		return ""
	})
	if diff := cmp.Diff([]string{"other", "last", corev1.TaintNodeNotReady}, keys(node)); diff != "" { // the API server's comes with creation
		t.Errorf("taints (-want +got):\n%s", diff)
	}
	for _, c := range node.Status.Conditions {
		switch {
		case c.Type == corev1.NodeDiskPressure && (c.Status != corev1.ConditionTrue || c.Message != "of logs"):
			t.Errorf("another's condition was changed: %+v", c)
		case c.Type == corev1.NodeNetworkUnavailable && (c.Reason != networkReason || c.LastTransitionTime.IsZero()):
			t.Errorf("condition %+v", c)
		}
	}

	// It is registered anew, or a provider closes it again, while the agent is well.
	e.keepOff(node)
	e.eventually("the node is open again", func() string {
		e.ok(e.Get(t.Context(), client.ObjectKeyFromObject(node), node))
		if len(startupTaints(node)) > 0 || unavailable(node) {
			return fmt.Sprintf("taints %+v, conditions %+v", node.Spec.Taints, node.Status.Conditions)
		}
		return ""
	})

	// An agent that falls silent closes nothing.
	e.renews("n", time.Second)
	e.reach("n", "Unknown", reasonNodeSilent)
	e.ok(e.Get(t.Context(), client.ObjectKeyFromObject(node), node))
	if unavailable(node) || len(startupTaints(node)) > 0 {
		t.Errorf("a node with pods was closed: %+v", node.Status.Conditions)
	}
	e.keepOff(node)
	e.stillKeptOff(node)
}

func keys(node *corev1.Node) (out []string) {
	for _, taint := range node.Spec.Taints {
		out = append(out, taint.Key)
	}
	return out
}

// keepOff puts taint and condition there again.
func (e env) keepOff(node *corev1.Node) {
	e.Helper()
	edit(e, node, func(n *corev1.Node) {
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: v1alpha1.AgentNotReadyTaint, Effect: corev1.TaintEffectNoSchedule})
	})
	for i := range node.Status.Conditions {
		if c := &node.Status.Conditions[i]; c.Type == corev1.NodeNetworkUnavailable {
			c.Status = corev1.ConditionTrue
		}
	}
	e.ok(e.Status().Update(e.Context(), node))
}

// stillKeptOff sees the controller run a whole pass, by a mark of it, and the node
// kept off after that.
func (e env) stillKeptOff(node *corev1.Node) {
	e.Helper()
	other := newNode("witness", 0, nil)
	e.ok(client.IgnoreNotFound(e.Delete(e.Context(), newNode("witness", 0, nil))))
	other = keptOff(other)
	e.create(other)
	e.reports(other.Name, readyState(other, "10.8.0.0/26").Status)
	e.beats(other.Name)
	e.eventually("a pass later", func() string {
		e.ok(e.Get(e.Context(), client.ObjectKeyFromObject(other), other))
		if len(startupTaints(other)) > 0 {
			return "not yet"
		}
		return ""
	})
	e.ok(e.Get(e.Context(), client.ObjectKeyFromObject(node), node))
	if len(startupTaints(node)) == 0 || !unavailable(node) {
		e.Errorf("opened without cause: taints %+v, conditions %+v", node.Spec.Taints, node.Status.Conditions)
	}
}

// Taints that moved since the controller looked are not taken for ours.
func TestNoOthersTaintIsLost(t *testing.T) {
	e := newEnv(t)
	node := keptOff(newNode("n", 0, nil))
	e.create(node)
	w := &watchman{client: e.Client, log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	stale := opening{node: node.DeepCopy(), taints: startupTaints(node)}
	edit(e, node, func(n *corev1.Node) { n.Spec.Taints = n.Spec.Taints[1:] }) // ours are at 0 and 2 now
	before := keys(node)
	e.ok(w.open(t.Context(), []opening{stale}))
	e.ok(e.Get(t.Context(), client.ObjectKeyFromObject(node), node))
	if diff := cmp.Diff(before, keys(node)); diff != "" {
		t.Errorf("taints (-before +now):\n%s", diff)
	}
	fresh := opening{node: node.DeepCopy(), taints: startupTaints(node), network: true}
	fresh.node.UID = "another Node's"
	e.ok(w.open(t.Context(), []opening{fresh}))
	e.ok(e.Get(t.Context(), client.ObjectKeyFromObject(node), node))
	if diff := cmp.Diff(before, keys(node)); diff != "" || !unavailable(node) {
		t.Errorf("another Node of that name was opened (-before +now):\n%s", diff)
	}
	fresh.node = node.DeepCopy()
	e.ok(w.open(t.Context(), []opening{fresh}))
	e.ok(e.Get(t.Context(), client.ObjectKeyFromObject(node), node))
	if diff := cmp.Diff([]string{"last", corev1.TaintNodeNotReady}, keys(node)); diff != "" || unavailable(node) {
		t.Errorf("not opened (-want +got):\n%s", diff)
	}
}
