package cluster

import (
	"cmp"
	"iter"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"fairlead.dev/api/v1alpha1"
)

// State is everything that a pass decides on. Its objects are shared with the
// caches: they are read only.
type State struct {
	Now   time.Time
	Nodes []corev1.Node
	// Services are the addresses of the Service of the API server, which each cluster
	// has: the first of those that Services have.
	Services   []string
	Pools      []v1alpha1.IPPool
	Blocks     []v1alpha1.IPBlock
	Plan       *v1alpha1.AddressPlan // nil when there is none
	BGPNodes   []v1alpha1.BGPNode
	Configs    []v1alpha1.BGPConfiguration
	Peers      []v1alpha1.BGPPeer
	NodeStates []v1alpha1.NodeState
}

// sort gives every list an order that does not depend on the cache's.
func (s *State) sort() {
	slices.SortFunc(s.Nodes, func(a, b corev1.Node) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Pools, func(a, b v1alpha1.IPPool) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Blocks, func(a, b v1alpha1.IPBlock) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.BGPNodes, func(a, b v1alpha1.BGPNode) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Configs, func(a, b v1alpha1.BGPConfiguration) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Peers, func(a, b v1alpha1.BGPPeer) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.NodeStates, func(a, b v1alpha1.NodeState) int { return cmp.Compare(a.Name, b.Name) })
}

// nodesByName indexes the Nodes.
func (s *State) nodesByName() map[string]*corev1.Node {
	out := make(map[string]*corev1.Node, len(s.Nodes))
	for i := range s.Nodes {
		out[s.Nodes[i].Name] = &s.Nodes[i]
	}
	return out
}

// reports are the NodeStates about the Nodes that there are now.
func (s *State) reports() iter.Seq[*v1alpha1.NodeState] {
	return func(yield func(*v1alpha1.NodeState) bool) {
		nodes := s.nodesByName()
		for i := range s.NodeStates {
			if n := &s.NodeStates[i]; speaksFor(n, nodes[n.Name]) && !yield(n) {
				return
			}
		}
	}
}

func (s *State) nodeStatesByName() map[string]*v1alpha1.NodeState {
	out := make(map[string]*v1alpha1.NodeState, len(s.NodeStates))
	for i := range s.NodeStates {
		out[s.NodeStates[i].Name] = &s.NodeStates[i]
	}
	return out
}

// gone returns the names that a block, a BGPNode or a NodeState mentions and
// that no Node has, sorted.
func (s *State) gone() []string {
	nodes := s.nodesByName()
	seen := map[string]bool{}
	mention := func(name string) {
		if nodes[name] == nil {
			seen[name] = true
		}
	}
	for i := range s.Blocks {
		mention(s.Blocks[i].Spec.NodeName)
	}
	for i := range s.BGPNodes {
		mention(s.BGPNodes[i].Name)
	}
	for i := range s.NodeStates {
		mention(s.NodeStates[i].Name)
	}
	out := make([]string, 0, len(seen))
	for name := range seen {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}
