package ipam

import (
	"cmp"
	"net/netip"
	"slices"
)

// compare orders prefixes by address, then shorter before longer.
func compare(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

// after returns the first address behind p; false when p ends the address space.
func after(p netip.Prefix) (netip.Addr, bool) {
	next := last(p).Next()
	return next, next.IsValid()
}

// last returns the highest address of p.
func last(p netip.Prefix) netip.Addr {
	raw := p.Masked().Addr().AsSlice()
	for i := range raw {
		switch bits := p.Bits() - 8*i; {
		case bits <= 0:
			raw[i] = 0xff
		case bits < 8:
			raw[i] |= 0xff >> bits
		}
	}
	addr, _ := netip.AddrFromSlice(raw)
	return addr
}

// within keeps the prefixes that lie in outer, cut to it.
func within(ps []netip.Prefix, outer netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range ps {
		switch {
		case !p.IsValid() || !p.Overlaps(outer):
		case p.Bits() < outer.Bits():
			out = append(out, outer)
		default:
			out = append(out, p.Masked())
		}
	}
	return out
}

// merge returns the fewest prefixes that cover the same addresses, sorted.
// Thereby a block is wholly covered exactly when one of them contains it.
func merge(ps []netip.Prefix) []netip.Prefix {
	slices.SortFunc(ps, compare)
	var out []netip.Prefix
	for _, p := range ps {
		if n := len(out); n > 0 && out[n-1].Contains(p.Addr()) && out[n-1].Bits() <= p.Bits() {
			continue
		}
		out = append(out, p)
		for len(out) > 1 && siblings(out[len(out)-2], out[len(out)-1]) {
			out = out[:len(out)-1]
			top := &out[len(out)-1]
			*top = netip.PrefixFrom(top.Addr(), top.Bits()-1)
		}
	}
	return out
}

// siblings says whether low and high are the two halves of one prefix.
func siblings(low, high netip.Prefix) bool {
	if low.Bits() != high.Bits() || low.Bits() == 0 || low == high {
		return false
	}
	parent := netip.PrefixFrom(low.Addr(), low.Bits()-1).Masked()
	return parent.Addr() == low.Addr() && parent.Contains(high.Addr())
}
