package cluster

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"fairlead.dev/api/v1alpha1"
)

func TestWaiting(t *testing.T) {
	const a, b, c = "10.0.0.0/26", "10.0.0.64/26", "10.0.0.128/26"
	leased := v1alpha1.BlockLeased
	n, m := *newNode("n", 0, nil), *newNode("m", 0, nil)
	two := newPool("p", "10.0.0.0/24", 26)
	two.Spec.MaxBlocksPerNode = new(int32(2))
	elsewhere := newPool("p", "10.0.0.0/24", 26)
	elsewhere.Spec.NodeSelector = byLabel("rack", "r2")
	earlier := needing("n", 3)
	earlier.Status.NodeUID = "uid-earlier"
	otherPool := needing("n", 3)
	otherPool.Status.WantedBlocks[0].PoolUID = "uid-earlier"
	leaving := *newNode("n", 0, nil)
	leaving.DeletionTimestamp = &metav1.Time{Time: born}
	for _, x := range []struct {
		name    string
		pool    *v1alpha1.IPPool
		nodes   []corev1.Node
		blocks  []v1alpha1.IPBlock
		states  []v1alpha1.NodeState
		want    []string // node has/wants
		limited []string
	}{
		{name: "a new node", nodes: []corev1.Node{n}, want: []string{"n 0/1"}},
		{name: "with its block", nodes: []corev1.Node{n}, blocks: []v1alpha1.IPBlock{block(a, "p", "n", leased)}},
		{name: "that needs another", nodes: []corev1.Node{n}, blocks: []v1alpha1.IPBlock{block(a, "p", "n", leased)}, states: []v1alpha1.NodeState{needing("n", 2)}, want: []string{"n 1/2"}},
		{name: "that needs several", nodes: []corev1.Node{n}, blocks: []v1alpha1.IPBlock{block(a, "p", "n", leased)}, states: []v1alpha1.NodeState{needing("n", 4)}, want: []string{"n 1/4"}},
		{name: "that has what it needs", nodes: []corev1.Node{n}, blocks: []v1alpha1.IPBlock{block(a, "p", "n", leased), block(b, "p", "n", leased)}, states: []v1alpha1.NodeState{needing("n", 2)}},
		{name: "that needs fewer", nodes: []corev1.Node{n}, blocks: []v1alpha1.IPBlock{block(a, "p", "n", leased), block(b, "p", "n", leased)}, states: []v1alpha1.NodeState{needing("n", 1)}},
		{name: "that says it needs none", nodes: []corev1.Node{n}, states: []v1alpha1.NodeState{needing("n", 0)}, want: []string{"n 0/1"}},
		{name: "a draining block counts for none", nodes: []corev1.Node{n}, blocks: []v1alpha1.IPBlock{block(a, "p", "n", v1alpha1.BlockDraining), block(b, "p", "n", leased)}, states: []v1alpha1.NodeState{needing("n", 2)}, want: []string{"n 1/2"}},
		{name: "another pool's neither", nodes: []corev1.Node{n}, blocks: []v1alpha1.IPBlock{block(a, "q", "n", leased), block(b, "p", "n", leased)}, states: []v1alpha1.NodeState{needing("n", 2)}, want: []string{"n 1/2"}},

		{name: "below the maximum", pool: two, nodes: []corev1.Node{n}, blocks: []v1alpha1.IPBlock{block(a, "p", "n", leased)}, states: []v1alpha1.NodeState{needing("n", 3)}, want: []string{"n 1/2"}},
		{name: "at the maximum", pool: two, nodes: []corev1.Node{n}, blocks: []v1alpha1.IPBlock{block(a, "p", "n", leased), block(b, "p", "n", leased)}, states: []v1alpha1.NodeState{needing("n", 3)}, limited: []string{"n"}},
		{name: "at the maximum, content", pool: two, nodes: []corev1.Node{n}, blocks: []v1alpha1.IPBlock{block(a, "p", "n", leased), block(b, "p", "n", leased)}, states: []v1alpha1.NodeState{needing("n", 2)}},
		{name: "above a lowered maximum", pool: two, nodes: []corev1.Node{n}, blocks: []v1alpha1.IPBlock{block(a, "p", "n", leased), block(b, "p", "n", leased), block(c, "p", "n", leased)}, states: []v1alpha1.NodeState{needing("n", 3)}, limited: []string{"n"}},

		{name: "said of an earlier node", nodes: []corev1.Node{n}, blocks: []v1alpha1.IPBlock{block(a, "p", "n", leased)}, states: []v1alpha1.NodeState{earlier}},
		{name: "said of an earlier pool", nodes: []corev1.Node{n}, blocks: []v1alpha1.IPBlock{block(a, "p", "n", leased)}, states: []v1alpha1.NodeState{otherPool}},
		{name: "said by another node", nodes: []corev1.Node{n, m}, blocks: []v1alpha1.IPBlock{block(a, "p", "n", leased), block(b, "p", "m", leased)}, states: []v1alpha1.NodeState{needing("m", 2)}, want: []string{"m 1/2"}},
		{name: "said by nobody's agent", nodes: []corev1.Node{n}, blocks: []v1alpha1.IPBlock{block(a, "p", "n", leased)}, states: []v1alpha1.NodeState{needing("x", 2)}},
		{name: "a node that leaves", nodes: []corev1.Node{leaving}, blocks: []v1alpha1.IPBlock{block(a, "p", "n", leased)}, states: []v1alpha1.NodeState{needing("n", 2)}},
		{name: "a node that is selected no more", pool: elsewhere, nodes: []corev1.Node{n}, blocks: []v1alpha1.IPBlock{block(a, "p", "n", leased)}, states: []v1alpha1.NodeState{needing("n", 2)}},
		{
			name: "first blocks first", nodes: []corev1.Node{n, m}, blocks: []v1alpha1.IPBlock{block(a, "p", "m", leased)},
			states: []v1alpha1.NodeState{needing("m", 2)}, want: []string{"n 0/1", "m 1/2"},
		},
	} {
		t.Run(x.name, func(t *testing.T) {
			if x.pool == nil {
				x.pool = newPool("p", "10.0.0.0/24", 26)
			}
			s := &State{Pools: []v1alpha1.IPPool{*x.pool}, Nodes: x.nodes, Blocks: x.blocks, NodeStates: x.states}
			s.sort()
			p := readPools(s)[0]
			var got []string
			for _, w := range p.waiting {
				got = append(got, fmt.Sprintf("%s %d/%d", w.node.Name, w.has, w.want))
			}
			if diff := cmp.Diff(x.want, got); diff != "" {
				t.Errorf("waiting (-want +got):\n%s", diff)
			}
			if !slices.Equal(names(p.limited), x.limited) {
				t.Errorf("limited %v, want %v", names(p.limited), x.limited)
			}
		})
	}
}

// What an agent says wakes the controller only if it decides by it.
func TestNeedWakes(t *testing.T) {
	before := needing("n", 1)
	before.Status.Blocks = []v1alpha1.BlockStatus{{UID: "a"}}
	for name, x := range map[string]struct {
		change func(*v1alpha1.NodeStateStatus)
		wakes  bool
	}{
		"nothing":          {func(*v1alpha1.NodeStateStatus) {}, false},
		"used":             {func(s *v1alpha1.NodeStateStatus) { s.Blocks[0].Used = 3; s.AddressesUsed = 3 }, false},
		"needs more":       {func(s *v1alpha1.NodeStateStatus) { s.WantedBlocks[0].Count = 2 }, true},
		"closed one":       {func(s *v1alpha1.NodeStateStatus) { s.Blocks[0].Closed = true }, true},
		"closed one, used": {func(s *v1alpha1.NodeStateStatus) { s.Blocks[0].Closed, s.Blocks[0].Used = true, 1 }, false},
		"released one":     {func(s *v1alpha1.NodeStateStatus) { s.ReleasedBlocks = []string{"a"} }, true},
		"of another node":  {func(s *v1alpha1.NodeStateStatus) { s.NodeUID = "other" }, true},
	} {
		after := *before.DeepCopy()
		x.change(&after.Status)
		if got := byNeed().wakes.Update(event.UpdateEvent{ObjectOld: &before, ObjectNew: &after}); got != x.wakes {
			t.Errorf("%s: wakes %t, want %t", name, got, x.wakes)
		}
	}
}
