package store

import (
	"net/netip"
	"slices"
)

// KindOverlay is the node's own address in the overlay. The agent takes it and
// gives it back; no pod ends it.
const KindOverlay Kind = "overlay"

// Overlay lists the node's own addresses, sorted: one of a family, and two while
// it moves.
func (s *State) Overlay() []netip.Addr {
	var addrs []netip.Addr
	for _, held := range s.Allocations {
		if held.Kind == KindOverlay {
			addrs = append(addrs, held.Address)
		}
	}
	return addrs
}

// HoldOverlay sees to it that the node has an address of its own of each family of
// the blocks, and returns those that it took. One held in any of them stays. Else
// it is one of found, those that the kernel was seen to have, which a store that was lost
// gave out; else the first free one, of the first block that has one.
func (s *State) HoldOverlay(blocks []netip.Prefix, found []netip.Addr, now Stamp) (taken []netip.Addr) {
	for _, f := range []Family{IPv4, IPv6} {
		inBlocks := func(a netip.Addr) bool {
			return FamilyOf(a) == f && slices.ContainsFunc(blocks, func(b netip.Prefix) bool { return b.Contains(a) })
		}
		if slices.ContainsFunc(s.Overlay(), inBlocks) {
			continue
		}
		p, ok := s.again(slices.DeleteFunc(slices.Clone(found), func(a netip.Addr) bool { return !inBlocks(a) }))
		if !ok {
			p, ok = s.first(f, blocks)
		}
		if ok {
			s.take(p, Request{Attachment: Attachment{Kind: KindOverlay}, Now: now})
			taken = append(taken, p.addr)
		}
	}
	return taken
}

// again is the first of the addresses that nobody holds.
func (s *State) again(found []netip.Addr) (pick, bool) {
	for _, addr := range found {
		if _, held := slices.BinarySearchFunc(s.Allocations, Allocation{Address: addr}, compareAllocation); !held {
			return pick{addr: addr}, true
		}
	}
	return pick{}, false
}

func (s *State) first(f Family, blocks []netip.Prefix) (pick, bool) {
	for _, l := range s.Leases {
		if l.Closed || !f.has(l) || !slices.Contains(blocks, l.CIDR) {
			continue
		}
		if p, ok := s.pick([]Lease{l}, Request{}); ok {
			return p, true
		}
	}
	return pick{}, false
}

// ReleaseOverlay frees the node's own addresses but for those to keep, and
// returns what it freed.
func (s *State) ReleaseOverlay(keep []netip.Addr, now Stamp) []Allocation {
	return s.free(func(held Allocation) bool {
		return held.Kind == KindOverlay && !slices.Contains(keep, held.Address)
	}, now)
}
