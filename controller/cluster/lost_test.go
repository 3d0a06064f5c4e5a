package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"fairlead.dev/api/v1alpha1"
)

// reporting is what the agent of a node says of blocks that pods use.
func reporting(node string, used int64, cidrs ...string) v1alpha1.NodeState {
	n := v1alpha1.NodeState{ObjectMeta: age(node, 0), Status: v1alpha1.NodeStateStatus{NodeUID: "uid-" + node}}
	for _, c := range cidrs {
		n.Status.Blocks = append(n.Status.Blocks, v1alpha1.BlockStatus{CIDR: c, UID: "uid-of-old", Used: used, Closed: true})
	}
	return n
}

// A block without its IPBlock is nobody else's as long as pods have its addresses.
func TestLostBlocks(t *testing.T) {
	const a, b, c, d = "10.0.0.0/26", "10.0.0.64/26", "10.0.0.128/26", "10.0.0.192/26"
	nodes := []corev1.Node{*newNode("m", 0, nil), *newNode("n", 0, nil)}
	of := func(node string, blocks ...string) v1alpha1.NodeState { return reporting(node, 3, blocks...) }
	earlier := of("n", a)
	earlier.Status.NodeUID = "uid-before"
	ipam := of("n", a)
	ipam.Status.Blocks[0].IPAMOnly = true
	two := int32(2)
	few := newPool("p", "10.0.0.0/24", 26)
	few.Spec.MaxBlocksPerNode = &two
	for _, x := range []struct {
		name   string
		pool   *v1alpha1.IPPool
		blocks []v1alpha1.IPBlock
		states []v1alpha1.NodeState
		want   string // what m and n get, in the order of the lease
	}{
		{name: "nothing was lost", want: "m " + a + ", n " + b},
		{name: "each gets its own back", states: []v1alpha1.NodeState{of("n", a), of("m", b)}, want: "m " + b + ", n " + a},
		{name: "all of them", states: []v1alpha1.NodeState{of("n", a, c)}, want: "m " + b + ", n " + a + ", n " + c},
		{name: "beside what it has", blocks: []v1alpha1.IPBlock{block(b, "p", "n", v1alpha1.BlockLeased)}, states: []v1alpha1.NodeState{of("n", a)}, want: "m " + c + ", n " + a},
		{name: "an empty one is free", states: []v1alpha1.NodeState{reporting("n", 0, a)}, want: "m " + a + ", n " + b},
		{name: "another's by now", blocks: []v1alpha1.IPBlock{block(a, "p", "m", v1alpha1.BlockLeased)}, states: []v1alpha1.NodeState{of("n", a)}, want: "n " + b},
		{name: "said by two", states: []v1alpha1.NodeState{of("m", c), of("n", c)}, want: "m " + c + ", n " + a},
		{name: "no more than a node may have", pool: few, states: []v1alpha1.NodeState{of("n", b, c, d)}, want: "m " + a + ", n " + b + ", n " + c},
		{name: "of no such pool", states: []v1alpha1.NodeState{of("n", "10.0.0.0/27", "10.9.0.0/26", "nonsense")}, want: "m " + a + ", n " + b},
		{name: "of another kind", states: []v1alpha1.NodeState{ipam}, want: "m " + a + ", n " + b},
		{name: "said of an earlier node", states: []v1alpha1.NodeState{earlier}, want: "m " + a + ", n " + b},
	} {
		t.Run(x.name, func(t *testing.T) {
			if x.pool == nil {
				x.pool = newPool("p", "10.0.0.0/24", 26)
			}
			s := &State{Pools: []v1alpha1.IPPool{*x.pool}, Nodes: nodes, Blocks: x.blocks, NodeStates: x.states}
			s.sort()
			p := readPools(s)[0]
			got, space := "", p.space(s.Blocks)
			for _, w := range p.waiting {
				for range w.want - w.has {
					cidr, free := p.offer(w.node.Name, space)
					if !free {
						t.Fatalf("none left for %s", w.node.Name)
					}
					space.Take(cidr)
					got += ", " + w.node.Name + " " + cidr.String()
				}
			}
			if diff := cmp.Diff(", "+x.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
