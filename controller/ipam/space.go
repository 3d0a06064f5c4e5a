package ipam

import (
	"container/heap"
	"net/netip"
)

// Space is a Pool and which of its blocks are taken. Next offers the lowest
// free block; taking, freeing and offering cost O(log n) amortised, however
// large the range. It is not safe for concurrent use.
type Space struct {
	pool  Pool
	taken map[netip.Prefix]struct{}
	// odd are taken prefixes that are not blocks of this carving.
	odd map[netip.Prefix]struct{}
	// Every block below frontier is taken, reserved, odd or in freed. An
	// invalid frontier is the end of the range.
	frontier netip.Addr
	freed    lowest
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

// Free gives back what Take marked. What is not taken stays as it is.
func (s *Space) Free(p netip.Prefix) {
	if _, found := s.odd[p]; found {
		delete(s.odd, p)
		// Blocks below the frontier may be free again, and no list names them.
		s.frontier, s.freed = s.pool.cidr.Addr(), nil
		return
	}
	if _, found := s.taken[p]; !found {
		return
	}
	delete(s.taken, p)
	if !s.frontier.IsValid() || p.Addr().Less(s.frontier) {
		heap.Push(&s.freed, p)
	}
}

// Taken counts the blocks taken, those of another carving included.
func (s *Space) Taken() int { return len(s.taken) + len(s.odd) }

// Next returns the lowest block that is free and not wholly reserved, without
// taking it; false when there is none.
func (s *Space) Next() (netip.Prefix, bool) {
	for len(s.freed) > 0 {
		block := s.freed[0]
		if _, blocked := s.blocked(block); !blocked {
			return block, true
		}
		heap.Pop(&s.freed) // taken again, or blocked since
	}
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

// lowest is a heap of prefixes, the lowest first.
type lowest []netip.Prefix

func (l lowest) Len() int           { return len(l) }
func (l lowest) Less(i, j int) bool { return Compare(l[i], l[j]) < 0 }
func (l lowest) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *lowest) Push(x any)        { *l = append(*l, x.(netip.Prefix)) }
func (l *lowest) Pop() any {
	old := *l
	x := old[len(old)-1]
	*l = old[:len(old)-1]
	return x
}
