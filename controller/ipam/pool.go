package ipam

import (
	"fmt"
	"math"
	"net/netip"
)

// Pool is a range and the prefix length of the blocks that it is carved into.
type Pool struct {
	cidr     netip.Prefix
	size     int
	reserved []netip.Prefix
}

// NewPool checks that blocks of prefix length size fit into cidr. Reserved
// ranges need not lie inside cidr; they are merged.
func NewPool(cidr netip.Prefix, size int, reserved ...netip.Prefix) (Pool, error) {
	switch {
	case !cidr.IsValid() || cidr != cidr.Masked() || cidr.Addr().Is4In6():
		return Pool{}, fmt.Errorf("carve %s: not a network in canonical form", cidr)
	case size > cidr.Addr().BitLen():
		return Pool{}, fmt.Errorf("carve %s into /%d: an address has only %d bits", cidr, size, cidr.Addr().BitLen())
	case size < cidr.Bits():
		return Pool{}, fmt.Errorf("carve %s into /%d: a block would be larger than the range", cidr, size)
	}
	return Pool{cidr: cidr, size: size, reserved: merge(within(reserved, cidr))}, nil
}

// CIDR is the range.
func (p Pool) CIDR() netip.Prefix { return p.cidr }

// BlockSize is the prefix length of a block.
func (p Pool) BlockSize() int { return p.size }

// Capacity counts the blocks that can be leased: those that hold at least one
// address that is not reserved. It is math.MaxInt64 where there are more.
func (p Pool) Capacity() int64 {
	n := power(p.size - p.cidr.Bits())
	if n == math.MaxInt64 {
		return n
	}
	for _, r := range p.reserved {
		if r.Bits() <= p.size {
			n -= power(p.size - r.Bits())
		}
	}
	return n
}

// Addresses counts the addresses of block that are not reserved,
// math.MaxInt64 where there are more.
func (p Pool) Addresses(block netip.Prefix) int64 {
	n := power(block.Addr().BitLen() - block.Bits())
	for _, r := range p.reserved {
		switch {
		case !r.Overlaps(block):
		case r.Bits() <= block.Bits():
			return 0
		case n != math.MaxInt64:
			n -= power(r.Addr().BitLen() - r.Bits())
		}
	}
	return n
}

// Contains says whether block is one that this pool is carved into.
func (p Pool) Contains(block netip.Prefix) bool {
	return block.IsValid() && block == block.Masked() && block.Bits() == p.size && p.cidr.Contains(block.Addr())
}

// reservedAround returns the reserved range that holds all of block.
func (p Pool) reservedAround(block netip.Prefix) (netip.Prefix, bool) {
	for _, r := range p.reserved {
		if r.Bits() <= block.Bits() && r.Contains(block.Addr()) {
			return r, true
		}
	}
	return netip.Prefix{}, false
}

// power is 2^bits, saturating at math.MaxInt64.
func power(bits int) int64 {
	if bits > 62 {
		return math.MaxInt64
	}
	return 1 << bits
}
