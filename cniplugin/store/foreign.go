package store

import (
	"net/netip"
	"slices"
)

// KindForeign is an address of a block of ours that another network of the node gave
// out, or has itself: it lives as long as the agent sees it in use.
const KindForeign Kind = "foreign"

// Foreign counts the addresses of a block that other networks use.
func (s *State) Foreign(block netip.Prefix) (count int64) {
	for _, held := range s.Allocations {
		if held.Kind == KindForeign && block.Contains(held.Address) {
			count++
		}
	}
	return count
}

// SetForeign makes the addresses of these blocks that other networks use those found:
// no pod gets one of them until it is not found any more. What a pod of ours holds
// stays the pod's. It returns what it took and what it freed.
func (s *State) SetForeign(found []netip.Addr, blocks []netip.Prefix, now Stamp) (taken, freed []Allocation) {
	inBlocks := func(a netip.Addr) bool {
		return slices.ContainsFunc(blocks, func(b netip.Prefix) bool { return b.Contains(a) })
	}
	freed = s.free(func(held Allocation) bool {
		return held.Kind == KindForeign && inBlocks(held.Address) && !slices.Contains(found, held.Address)
	}, now)
	held := make(map[netip.Addr]bool, len(s.Allocations))
	for _, a := range s.Allocations {
		held[a.Address] = true
	}
	for _, addr := range found {
		if !inBlocks(addr) || held[addr] {
			continue
		}
		held[addr] = true
		taken = append(taken, Allocation{Address: addr, Kind: KindForeign, BootID: now.BootID, At: now.At})
		s.Released = slices.DeleteFunc(s.Released, func(r Release) bool { return r.Address == addr })
	}
	s.Allocations = append(s.Allocations, taken...)
	s.sort()
	return taken, freed
}

// ForgetForeign drops all of them: who had them has them still.
func (s *State) ForgetForeign() {
	s.Allocations = slices.DeleteFunc(s.Allocations, func(held Allocation) bool { return held.Kind == KindForeign })
}
