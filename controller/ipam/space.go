package ipam

import "net/netip"

// Space is a Pool and which of its blocks are taken. Next offers the lowest free
// block; amortised, its cost grows neither with the range nor with what is taken.
// What is taken stays so: who looks again makes another Space. It is not safe for
// concurrent use.
type Space struct {
	pool  Pool
	taken map[netip.Prefix]struct{}
	// odd are taken prefixes that are not blocks of this carving.
	odd map[netip.Prefix]struct{}
	// Every block below frontier is taken, reserved or odd. An invalid frontier is
	// the end of the range.
	frontier netip.Addr
}

// NewSpace returns the pool with nothing taken.
func NewSpace(p Pool) *Space {
	return &Space{
		pool:     p,
		taken:    map[netip.Prefix]struct{}{},
		odd:      map[netip.Prefix]struct{}{},
		frontier: p.cidr.Addr(),
	}
}

// Take marks a prefix as taken. One that is no block of this pool blocks every
// block that it overlaps.
func (s *Space) Take(p netip.Prefix) {
	switch {
	case s.pool.Contains(p):
		s.taken[p] = struct{}{}
	case p.IsValid() && p.Overlaps(s.pool.cidr):
		s.odd[p.Masked()] = struct{}{}
	}
}

// Next returns the lowest block that is free and not wholly reserved, without
// taking it; false when there is none.
func (s *Space) Next() (netip.Prefix, bool) {
	for s.frontier.IsValid() && s.pool.cidr.Contains(s.frontier) {
		block := netip.PrefixFrom(s.frontier, s.pool.size)
		obstacle, blocked := s.blocked(block)
		if !blocked {
			return block, true
		}
		next, more := after(obstacle)
		if !more {
			break
		}
		s.frontier = next
	}
	s.frontier = netip.Addr{}
	return netip.Prefix{}, false
}

// blocked returns what is in the way of block: itself when it is taken, else a
// reserved or odd prefix around it or inside it, widened to a block.
func (s *Space) blocked(block netip.Prefix) (netip.Prefix, bool) {
	if _, found := s.taken[block]; found {
		return block, true
	}
	if r, found := s.pool.reservedAround(block); found {
		return r, true
	}
	for p := range s.odd {
		switch {
		case !p.Overlaps(block):
		case p.Bits() < block.Bits():
			return p, true
		default:
			return block, true
		}
	}
	return netip.Prefix{}, false
}
