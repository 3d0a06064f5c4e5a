package dataplane

import (
	"cmp"
	"net/netip"
	"slices"
)

// Filter is what varies in our nft table (dataplane/filter): the rest of it is
// the same on every node.
type Filter struct {
	// Pods are the ranges that no packet is translated on the way to.
	Pods []netip.Prefix
	// Translated are the ranges whose packets leave with an address of the node
	// when they go to anywhere but Pods and the node itself.
	Translated []netip.Prefix
	// Uplinks are the links with an address of their own to translate to, at most
	// one of a family for each link. By any other link a packet leaves with that
	// link's address.
	Uplinks []Uplink
}

// Uplink is a link and the address that packets leave it with.
type Uplink struct {
	Link    string
	Address netip.Addr
}

// Canonical returns the filter in the one form in which it is compared: ranges
// masked, sorted and none inside another; of each link and family the first
// address. It shares no memory with f.
func (f Filter) Canonical() Filter {
	return Filter{Pods: disjoint(f.Pods), Translated: disjoint(f.Translated), Uplinks: canonicalUplinks(f.Uplinks)}
}

// Equal says that two filters in canonical form are the same.
func (f Filter) Equal(g Filter) bool {
	return slices.Equal(f.Pods, g.Pods) && slices.Equal(f.Translated, g.Translated) && slices.Equal(f.Uplinks, g.Uplinks)
}

// disjoint ranges are all that an nft set of intervals takes.
func disjoint(ranges []netip.Prefix) []netip.Prefix {
	sorted := slices.Clone(ranges)
	for i, p := range sorted {
		sorted[i] = p.Masked()
	}
	// A range comes before those inside it.
	slices.SortFunc(sorted, ComparePrefix)
	var out []netip.Prefix
	for _, p := range sorted {
		if n := len(out); n == 0 || !out[n-1].Overlaps(p) {
			out = append(out, p)
		}
	}
	return out
}

func canonicalUplinks(uplinks []Uplink) []Uplink {
	out := slices.Clone(uplinks)
	slices.SortFunc(out, func(a, b Uplink) int {
		return cmp.Or(cmp.Compare(a.Link, b.Link), a.Address.Compare(b.Address))
	})
	return slices.CompactFunc(out, func(a, b Uplink) bool { return a.Link == b.Link && a.Address.Is4() == b.Address.Is4() })
}
