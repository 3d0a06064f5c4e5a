package store

import (
	"net/netip"
	"slices"

	"fairlead.dev/dataplane"
)

// Adopt gives addresses that the kernel routes to pods, and that nobody holds,
// the holders that the kernel tells of, and returns these entries. An ADD that
// took its addresses from a store that was removed before their routes were made
// is in no other way known to the store that was made after that.
func (s *State) Adopt(routes []dataplane.PodRoute, now Stamp) []Allocation {
	adopted := slices.DeleteFunc(rebuilt(routes, now), func(a Allocation) bool {
		return slices.ContainsFunc(s.Allocations, func(held Allocation) bool { return held.Address == a.Address })
	})
	s.Allocations = append(s.Allocations, adopted...)
	s.sort()
	return adopted
}

// Found are the addresses that a namespace was seen to have.
type Found struct {
	Netns      string
	NetnsInode uint64
	Addresses  []netip.Addr
}

// AdoptFound gives addresses of these blocks, which are IPAMOnly, and that nobody
// holds, to the namespaces that were seen to have them, and returns these entries.
// They name no container: they are freed with their namespace.
func (s *State) AdoptFound(found []Found, blocks []netip.Prefix, now Stamp) []Allocation {
	var adopted []Allocation
	for _, f := range found {
		for _, a := range f.Addresses {
			inside := slices.ContainsFunc(blocks, func(b netip.Prefix) bool { return b.Contains(a) })
			holds := func(held Allocation) bool { return held.Address == a }
			if !inside || slices.ContainsFunc(s.Allocations, holds) || slices.ContainsFunc(adopted, holds) {
				continue
			}
			adopted = append(adopted, Allocation{
				Address: a, Kind: KindIPAM, Netns: f.Netns, NetnsInode: f.NetnsInode, BootID: now.BootID, At: now.At,
			})
		}
	}
	s.Allocations = append(s.Allocations, adopted...)
	s.sort()
	return adopted
}
