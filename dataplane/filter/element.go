package filter

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"

	"github.com/google/nftables"

	"fairlead.dev/dataplane"
)

// sets of the table with what they hold for want, which is in canonical form.
func sets(want dataplane.Filter) []set {
	is4, is6 := netip.Addr.Is4, netip.Addr.Is6
	return []set{
		{addressSet(setPods4, "pods: never translated on the way to them", nftables.TypeIPAddr), intervals(want.Pods, is4)},
		{addressSet(setPods6, "pods: never translated on the way to them", nftables.TypeIP6Addr), intervals(want.Pods, is6)},
		{addressSet(setTranslated4, "natOutgoing: translated on the way to anywhere else", nftables.TypeIPAddr), intervals(want.Translated, is4)},
		{addressSet(setTranslated6, "natOutgoing: translated on the way to anywhere else", nftables.TypeIP6Addr), intervals(want.Translated, is6)},
		{uplinkMap(mapUplinks4, nftables.TypeIPAddr), pairs(want.Uplinks, is4)},
		{uplinkMap(mapUplinks6, nftables.TypeIP6Addr), pairs(want.Uplinks, is6)},
		{addressSet(setNear4, "answered by the node itself", nftables.TypeIPAddr), intervals(near4[:], is4)},
		{addressSet(setNear6, "answered by the node itself", nftables.TypeIP6Addr), intervals(near6[:], is6)},
	}
}

// intervals are the ranges of a family as the kernel has them: the first address
// of each, and the first that is not in it any more, of which the last range of
// all has none.
func intervals(ranges []netip.Prefix, family func(netip.Addr) bool) []nftables.SetElement {
	var out []nftables.SetElement
	for _, p := range ranges {
		if !family(p.Addr()) {
			continue
		}
		out = append(out, nftables.SetElement{Key: p.Addr().AsSlice()})
		if next := dataplane.LastAddr(p).Next(); next.IsValid() {
			out = append(out, nftables.SetElement{Key: next.AsSlice(), IntervalEnd: true})
		}
	}
	return out
}

// ranges are what intervals were made of; ok is false for any that no ranges make.
func ranges(elements []nftables.SetElement) (out []netip.Prefix, ok bool) {
	for len(elements) > 0 {
		first, ok := netip.AddrFromSlice(elements[0].Key)
		if !ok || elements[0].IntervalEnd {
			return nil, false
		}
		elements = elements[1:]
		end := netip.Addr{}
		if len(elements) > 0 && elements[0].IntervalEnd {
			end, _ = netip.AddrFromSlice(elements[0].Key)
			elements = elements[1:]
		}
		p, ok := prefix(first, end)
		if !ok {
			return nil, false
		}
		out = append(out, p)
	}
	return out, true
}

// prefix from the first address to the one before end, which is not valid where
// the addresses end.
func prefix(first, end netip.Addr) (netip.Prefix, bool) {
	for bits := range first.BitLen() + 1 {
		p := netip.PrefixFrom(first, bits)
		if p == p.Masked() && dataplane.LastAddr(p).Next() == end {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

func pairs(uplinks []dataplane.Uplink, family func(netip.Addr) bool) []nftables.SetElement {
	var out []nftables.SetElement
	for _, u := range uplinks {
		if family(u.Address) {
			out = append(out, nftables.SetElement{Key: ifname(u.Link), Val: u.Address.AsSlice()})
		}
	}
	return out
}

func uplinks(elements []nftables.SetElement) []dataplane.Uplink {
	var out []dataplane.Uplink
	for _, e := range elements {
		if a, ok := netip.AddrFromSlice(e.Val); ok {
			out = append(out, dataplane.Uplink{Link: string(bytes.TrimRight(e.Key, "\x00")), Address: a})
		}
	}
	return out
}

// sortElements in the order of intervals: at an address at which one range ends
// and the next begins, the end comes first.
func sortElements(elements []nftables.SetElement) {
	slices.SortFunc(elements, func(a, b nftables.SetElement) int {
		return cmp.Or(bytes.Compare(a.Key, b.Key), compareBool(b.IntervalEnd, a.IntervalEnd))
	})
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func equalElements(a, b []nftables.SetElement) bool {
	return slices.EqualFunc(a, b, func(a, b nftables.SetElement) bool {
		return bytes.Equal(a.Key, b.Key) && a.IntervalEnd == b.IntervalEnd && bytes.Equal(a.Val, b.Val)
	})
}
