package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/api/v1alpha1"
)

// readyState is the report of an agent that is ready, about that node.
func readyState(node *corev1.Node, blocks ...string) v1alpha1.NodeState {
	n := v1alpha1.NodeState{ObjectMeta: metav1.ObjectMeta{Name: node.Name}, Status: v1alpha1.NodeStateStatus{NodeUID: string(node.UID), BootID: "boot"}}
	for _, kind := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionCNIConfigured} {
		n.Status.Conditions = append(n.Status.Conditions, metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: "R", LastTransitionTime: metav1.NewTime(born)})
	}
	for _, cidr := range blocks {
		n.Status.Blocks = append(n.Status.Blocks, v1alpha1.BlockStatus{CIDR: cidr, Programmed: true})
	}
	return n
}

func keptOff(node *corev1.Node) *corev1.Node {
	ours := corev1.Taint{Key: v1alpha1.AgentNotReadyTaint, Effect: corev1.TaintEffectNoSchedule}
	node.Spec.Taints = []corev1.Taint{{Key: "other", Effect: corev1.TaintEffectNoExecute}, ours, {Key: "last", Effect: corev1.TaintEffectNoSchedule}}
	ours.Effect = corev1.TaintEffectNoExecute
	node.Spec.Taints = append(node.Spec.Taints, ours)
	node.Status.Conditions = append(node.Status.Conditions, corev1.NodeCondition{Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionTrue})
	return node
}

func TestDecideOpen(t *testing.T) {
	heard := metav1.Condition{Status: metav1.ConditionTrue}
	type world struct {
		node  *corev1.Node
		state v1alpha1.NodeState
		heard metav1.Condition
		block v1alpha1.IPBlockSpec
	}
	for name, test := range map[string]struct {
		change  func(*world)
		network bool
		taints  []int
	}{
		"ready":                   {func(*world) {}, true, []int{3, 1}},
		"no condition":            {func(w *world) { w.node.Status.Conditions = nil }, false, []int{3, 1}},
		"condition is False":      {func(w *world) { w.node.Status.Conditions[0].Status = corev1.ConditionFalse }, false, []int{3, 1}},
		"condition is Unknown":    {func(w *world) { w.node.Status.Conditions[0].Status = corev1.ConditionUnknown }, true, []int{3, 1}},
		"no taint of ours":        {func(w *world) { w.node.Spec.Taints = w.node.Spec.Taints[:1] }, true, nil},
		"nothing in the way":      {func(w *world) { w.node.Status.Conditions, w.node.Spec.Taints = nil, w.node.Spec.Taints[:1] }, false, nil},
		"not ready":               {func(w *world) { w.state.Status.Conditions[0].Status = metav1.ConditionFalse }, false, nil},
		"another network's first": {func(w *world) { w.state.Status.Conditions[1].Status = metav1.ConditionFalse }, false, nil},
		"nothing configured":      {func(w *world) { w.state.Status.Conditions = w.state.Status.Conditions[:1] }, false, nil},
		"silent":                  {func(w *world) { w.heard.Status = metav1.ConditionUnknown }, false, nil},
		"not heard yet":           {func(w *world) { w.heard = metav1.Condition{} }, false, nil},
		"of an earlier Node":      {func(w *world) { w.state.Status.NodeUID = "earlier" }, false, nil},
		"of an earlier boot":      {func(w *world) { w.node.Status.NodeInfo.BootID = "next" }, false, nil},
		"of this boot":            {func(w *world) { w.node.Status.NodeInfo.BootID = "boot" }, true, []int{3, 1}},
		"block not programmed":    {func(w *world) { w.state.Status.Blocks[0].Programmed = false }, false, nil},
		"a family is missing":     {func(w *world) { w.block.CIDR = "fd00::/122" }, false, nil},
		"a block for attachments": {func(w *world) { w.block.CIDR, w.block.IPAMOnly = "fd00::/122", true }, true, []int{3, 1}},
		"another node's block":    {func(w *world) { w.block.CIDR, w.block.NodeName = "fd00::/122", "m" }, true, []int{3, 1}},
		"no report":               {func(w *world) { w.state.Name = "m" }, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			node := keptOff(newNode("n", 0, nil))
			w := world{node, readyState(node, "10.1.0.0/26"), heard, v1alpha1.IPBlockSpec{CIDR: "10.1.0.0/26", NodeName: "n", State: v1alpha1.BlockLeased}}
			test.change(&w)
			s := &State{Now: born, Nodes: []corev1.Node{*w.node}, NodeStates: []v1alpha1.NodeState{w.state}, Blocks: []v1alpha1.IPBlock{{Spec: w.block}}}
			got := decideOpen(s, map[string]metav1.Condition{"n": w.heard})
			if !test.network && test.taints == nil {
				if len(got) > 0 {
					t.Errorf("opened: %+v", got)
				}
				return
			}
			if len(got) != 1 || got[0].network != test.network || !cmp.Equal(got[0].taints, test.taints) {
				t.Errorf("got %+v, want network %v, taints %v", got, test.network, test.taints)
			}
		})
	}
}
