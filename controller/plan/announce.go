package plan

import (
	"net/netip"
	"slices"

	"fairlead.dev/bgp"
	"fairlead.dev/dataplane"
)

// Unheld are the blocks in use whose own route the kernel does not hold. Their
// pods have routes of their own, and as long as one of them is there, to withdraw
// the block would end connections that work.
func (p Plan) Unheld(done dataplane.Result) []netip.Prefix {
	if len(p.Serving) == 0 {
		return nil
	}
	held := p.Held(done)
	return slices.DeleteFunc(slices.Clone(p.Serving), func(x netip.Prefix) bool { return held.Has(x) })
}

// Announceable returns the configuration with only those prefixes announced
// whose routes the kernel holds, and the blocks of Unheld that are served: nothing
// is announced before it was programmed, and what pods use is not withdrawn for
// a route that they do not need.
func (p Plan) Announceable(done dataplane.Result, served []netip.Prefix) bgp.Config {
	held := p.Held(done)
	c := p.BGP
	c.Announce = slices.DeleteFunc(slices.Clone(c.Announce), func(x netip.Prefix) bool {
		return !held.Has(x) && !slices.Contains(served, x)
	})
	return c
}
