package cluster

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/controller/ipam"
)

// pool is an IPPool with its fields parsed.
type pool struct {
	*v1alpha1.IPPool
	carve ipam.Pool
	// invalid is why no range can be claimed, unselectable why no node leases.
	invalid, unselectable *problem
	// waiting are the nodes that should have more blocks than they have: those
	// that have none before the others, each by name.
	waiting []waiter
	// limited are the nodes that ask for more blocks than one node may have, by name.
	limited []*corev1.Node
	// selected are the nodes of a pool with source NodeSpec, adoptions the blocks that
	// they are to have, and refusals why others have none.
	selected  []*corev1.Node
	adoptions []adoption
	refusals  []string
	// lost are blocks of it that no IPBlock has and nodes use, by node.
	lost map[string][]netip.Prefix
	// occupied are addresses in its range that pods must not meet.
	occupied []occupied
}

// waiter is a node that has fewer blocks of a pool than it should.
type waiter struct {
	node      *corev1.Node
	has, want int
}

// readPools parses the pools, oldest first: the order in which they may claim.
func readPools(s *State) []*pool {
	out := make([]*pool, len(s.Pools))
	sels := newSelectors()
	for i := range s.Pools {
		out[i] = readPool(&s.Pools[i])
		if err := sels.add(s.Pools[i].Spec.NodeSelector); err != nil {
			out[i].unselectable = invalidSelector(err)
		}
	}
	findLost(s, out)
	nodes := occupiedBy(s)
	for _, p := range out {
		p.findOccupied(nodes)
	}
	held, needed := leasedBlocks(s), needs(s)
	for i := range s.Nodes {
		node := &s.Nodes[i]
		if node.DeletionTimestamp != nil {
			continue
		}
		for _, n := range sels.match(node.Labels) {
			p := out[n]
			if p.adopts() {
				p.selected = append(p.selected, node)
			}
			at := holder{string(p.UID), node.Name}
			most := p.Spec.EffectiveMaxBlocksPerNode()
			need := max(1, needed[at], held[at]+len(p.lost[node.Name]))
			if has, want := held[at], min(need, most); has < want && !p.adopts() {
				p.waiting = append(p.waiting, waiter{node, has, want})
			} else if need > most {
				p.limited = append(p.limited, node)
			}
		}
	}
	for _, p := range out {
		if p.adopts() {
			p.adopt(s.Blocks)
		}
		slices.SortStableFunc(p.waiting, func(a, b waiter) int { return cmp.Compare(min(a.has, 1), min(b.has, 1)) })
	}
	slices.SortFunc(out, func(a, b *pool) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// holder is who may hold Leased blocks.
type holder struct{ poolUID, node string }

// leasedBlocks counts Leased blocks.
func leasedBlocks(s *State) map[holder]int {
	out := make(map[holder]int, len(s.Blocks))
	for i := range s.Blocks {
		if b := &s.Blocks[i]; b.Spec.State == v1alpha1.BlockLeased {
			out[holder{b.Spec.PoolUID, b.Spec.NodeName}]++
		}
	}
	return out
}

// needs is how many blocks nodes say that they need. What one says counts for
// that node alone, for a pool by its UID, and only if it was said about the Node
// that there is now.
func needs(s *State) map[holder]int {
	out := map[holder]int{}
	for n := range s.reports() {
		for _, w := range n.Status.WantedBlocks {
			out[holder{w.PoolUID, n.Name}] = int(w.Count)
		}
	}
	return out
}

// speaksFor says whether a report is about this Node, and no earlier one of its name.
func speaksFor(report *v1alpha1.NodeState, node *corev1.Node) bool {
	return node != nil && report.Name == node.Name && report.Status.NodeUID == string(node.UID)
}

func readPool(in *v1alpha1.IPPool) *pool {
	p := &pool{IPPool: in, lost: map[string][]netip.Prefix{}}
	cidr, err := netip.ParsePrefix(in.Spec.CIDR)
	if err != nil {
		p.invalid = &problem{reasonInvalidRange, fmt.Sprintf("spec.cidr: %v", err)}
		return p
	}
	var reserved []netip.Prefix
	for _, r := range in.Spec.Reserved {
		if parsed, err := netip.ParsePrefix(r); err == nil {
			reserved = append(reserved, parsed)
		}
	}
	p.carve, err = ipam.NewPool(cidr, in.Spec.EffectiveBlockSize(), reserved...)
	if err != nil {
		p.invalid = &problem{reasonInvalidRange, fmt.Sprintf("spec.blockSize: %v: create another IPPool, both fields are immutable", err)}
	}
	return p
}

// leases says whether the pool may give blocks out.
func (p *pool) leases() bool {
	return p.invalid == nil && p.unselectable == nil && p.DeletionTimestamp == nil && p.Spec.EffectiveState() == v1alpha1.PoolActive
}

// space is the pool's range with every block taken that the blocks know of,
// whichever pool's they are, or that nodes use all the same.
func (p *pool) space(blocks []v1alpha1.IPBlock) *ipam.Space {
	s := ipam.NewSpace(p.carve)
	takeAll(s, blocks)
	for _, o := range p.occupied {
		s.Take(o.cidr)
	}
	for _, lost := range p.lost {
		for _, cidr := range lost {
			s.Take(cidr)
		}
	}
	return s
}

func takeAll(s *ipam.Space, blocks []v1alpha1.IPBlock) {
	for i := range blocks {
		if cidr, err := netip.ParsePrefix(blocks[i].Spec.CIDR); err == nil {
			s.Take(cidr)
		}
	}
}

func names(nodes []*corev1.Node) []string {
	out := make([]string, len(nodes))
	for i, n := range nodes {
		out[i] = n.Name
	}
	return out
}

func waiterNames(waiting []waiter) []string {
	out := make([]string, len(waiting))
	for i, w := range waiting {
		out[i] = w.node.Name
	}
	slices.Sort(out)
	return out
}
