package store

import (
	"math"
	"net/netip"
	"slices"

	"fairlead.dev/dataplane"
)

// SetLeases makes the leases those given: it adds, changes, closes and removes.
// A block that is not given but holds addresses stays, closed, until they are
// freed; those are returned, sorted. What is remembered of released addresses
// goes with the last lease that covers them.
func (s *State) SetLeases(leases []Lease) (kept []Lease) {
	next := make([]Lease, 0, len(leases))
	given := make(map[netip.Prefix]bool, len(leases))
	for _, l := range leases {
		l.CIDR = l.CIDR.Masked()
		if given[l.CIDR] || !l.CIDR.IsValid() {
			continue
		}
		given[l.CIDR] = true
		l.Reserved = slices.Clone(l.Reserved)
		slices.SortFunc(l.Reserved, dataplane.ComparePrefix)
		next = append(next, l)
	}
	for _, l := range s.Leases {
		if _, used := s.Usage(l.CIDR); !given[l.CIDR] && used > 0 {
			l.Closed = true
			kept = append(kept, l)
		}
	}
	s.Leases = append(next, kept...)
	slices.SortFunc(s.Leases, func(a, b Lease) int { return dataplane.ComparePrefix(a.CIDR, b.CIDR) })
	s.Released = slices.DeleteFunc(s.Released, func(r Release) bool {
		return !slices.ContainsFunc(s.Leases, func(l Lease) bool { return l.CIDR.Contains(r.Address) })
	})
	return kept
}

// Usage counts a block's addresses: those that pods may get or have, and those
// in use. An address in use that was reserved since counts in both, so that the
// difference is what is free. A block that is not leased has no capacity, but may
// hold addresses.
func (s *State) Usage(block netip.Prefix) (capacity, used int64) {
	i := slices.IndexFunc(s.Leases, func(l Lease) bool { return l.CIDR == block })
	if i >= 0 {
		capacity = s.Leases[i].capacity()
	}
	for _, a := range s.Allocations {
		if !block.Contains(a.Address) {
			continue
		}
		used++
		if i >= 0 && !s.Leases[i].gives(a.Address) && capacity < math.MaxInt64 {
			capacity++
		}
	}
	return capacity, used
}

// capacity saturates at the largest int64. It counts in units of 2^unit
// addresses, so that what is reserved of a block larger than that is seen too.
func (l Lease) capacity() int64 {
	const most = 62 // bits
	unit := max(0, hostBits(l.CIDR)-most)
	free := int64(1) << (hostBits(l.CIDR) - unit)
	for i, r := range l.Reserved {
		switch {
		case r.Bits() <= l.CIDR.Bits() && r.Contains(l.CIDR.Addr()):
			return 0
		case !l.CIDR.Contains(r.Addr()) || hostBits(r) < unit:
			continue
		case slices.ContainsFunc(l.Reserved[:i], func(o netip.Prefix) bool { return o.Overlaps(r) }):
			continue // sorted, so the wider of two that overlap came first
		}
		free -= 1 << (hostBits(r) - unit)
	}
	if free > math.MaxInt64>>unit {
		return math.MaxInt64
	}
	return free << unit
}

func hostBits(p netip.Prefix) int { return p.Addr().BitLen() - p.Bits() }

// gives says that the lease may hand the address out.
func (l Lease) gives(addr netip.Addr) bool {
	return l.CIDR.Contains(addr) && !slices.ContainsFunc(l.Reserved, func(r netip.Prefix) bool { return r.Contains(addr) })
}

// lowest is the lowest address that the lease gives and that is not passed over.
func (l Lease) lowest(pass func(netip.Addr) bool) (netip.Addr, bool) {
	for addr := l.CIDR.Addr(); l.CIDR.Contains(addr); addr = addr.Next() {
		i := slices.IndexFunc(l.Reserved, func(r netip.Prefix) bool { return r.Contains(addr) })
		switch {
		case i >= 0:
			addr = dataplane.LastAddr(l.Reserved[i])
		case !pass(addr):
			return addr, true
		}
	}
	return netip.Addr{}, false
}
