package plan

import (
	"net/netip"
	"slices"

	"fairlead.dev/dataplane"
)

// Held says which routes of a plan the kernel holds as planned. Another route of
// the same prefix, which could not be replaced, does not count.
type Held struct {
	routes []dataplane.Route
	held   []bool // of routes
	count  int
}

// Held compares the plan with what is installed, which is sorted by prefix. It
// is asked at each sync about all that is learned, so it walks both lists and
// makes no index of either.
func (p Plan) Held(installed []dataplane.Route) Held {
	h := Held{routes: p.Routes, held: make([]bool, len(p.Routes))}
	next := 0
	for i, want := range p.Routes {
		for next < len(installed) && dataplane.ComparePrefix(installed[next].Prefix, want.Prefix) < 0 {
			next++
		}
		if next < len(installed) && want.Equal(installed[next]) {
			h.held[i] = true
			h.count++
		}
	}
	return h
}

// At is about the plan's i-th route.
func (h Held) At(i int) bool { return h.held[i] }

// Count is how many of the plan's routes the kernel holds.
func (h Held) Count() int { return h.count }

// Has is about the plan's route to a prefix; without one it is false.
func (h Held) Has(p netip.Prefix) bool {
	i, found := slices.BinarySearchFunc(h.routes, p, func(r dataplane.Route, p netip.Prefix) int {
		return dataplane.ComparePrefix(r.Prefix, p)
	})
	return found && h.held[i]
}
