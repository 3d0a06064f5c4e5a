package plan

import (
	"net/netip"

	"fairlead.dev/dataplane"
)

// Held says which routes of a plan the kernel holds as planned. Another route of
// the same prefix, which could not be replaced, does not count.
type Held struct {
	routes []dataplane.Route
	done   dataplane.Result
}

// Held makes it of what Apply of the plan's routes left.
func (p Plan) Held(done dataplane.Result) Held { return Held{p.Routes, done} }

// At is about the plan's i-th route.
func (h Held) At(i int) bool { return h.done.Holds(h.routes[i].Prefix) }

// Count is how many of the plan's routes the kernel holds.
func (h Held) Count() int {
	if !h.done.Seen {
		return 0
	}
	count := len(h.routes)
	for p := range h.done.Failed {
		if _, planned := dataplane.Find(h.routes, p); planned {
			count--
		}
	}
	return count
}

// Has is about the plan's route to a prefix; without one it is false.
func (h Held) Has(p netip.Prefix) bool {
	_, planned := dataplane.Find(h.routes, p)
	return planned && h.done.Holds(p)
}
