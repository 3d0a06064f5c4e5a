package cluster

import (
	"net/netip"

	"fairlead.dev/controller/ipam"
)

// findLost tells pools of blocks that no IPBlock has any more, and that nodes report pods in:
// somebody deleted the IPBlocks, or the API server's data is of an earlier day. Given
// to another node an address would be two pods'. So they are kept for the node that
// reports them, which gets them back. What nodes say of blocks that there are counts
// for nothing.
func findLost(s *State, pools []*pool) {
	leased := make(map[netip.Prefix]bool, len(s.Blocks))
	for i := range s.Blocks {
		if cidr, err := netip.ParsePrefix(s.Blocks[i].Spec.CIDR); err == nil {
			leased[cidr] = true
		}
	}
	for n := range s.reports() {
		for _, b := range n.Status.Blocks {
			cidr, err := netip.ParsePrefix(b.CIDR)
			if err != nil || b.Used == 0 || leased[cidr] {
				continue
			}
			leased[cidr] = true // the first by name has it, should two say so
			for _, p := range pools {
				if p.carve.Contains(cidr) && b.IPAMOnly != p.Spec.EffectiveAdvertise() && len(p.lost[n.Name]) < p.Spec.EffectiveMaxBlocksPerNode() {
					p.lost[n.Name] = append(p.lost[n.Name], cidr)
				}
			}
		}
	}
}

// offer returns the block that a node gets next: one of its own that was lost, or the
// lowest that is free. Lost blocks are taken in space.
func (p *pool) offer(node string, space *ipam.Space) (netip.Prefix, bool) {
	if lost := p.lost[node]; len(lost) > 0 {
		p.lost[node] = lost[1:]
		return lost[0], true
	}
	return space.Next()
}
