package store

import (
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
