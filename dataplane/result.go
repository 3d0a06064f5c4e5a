package dataplane

import (
	"net/netip"
	"slices"
)

// Result is what Apply left behind, read back from the kernel. Its size is that
// of what is not as wanted: everything else is.
type Result struct {
	// Seen says that the kernel was read back. Where it was not nothing is known,
	// and the rest is empty.
	Seen bool
	// Installed are the wanted routes that Holds is true of, sorted by prefix.
	Installed []Route
	// Failed says for each wanted prefix that the kernel does not hold as wanted,
	// or holds and does not use, why.
	Failed map[netip.Prefix]error
	// Surplus are the prefixes of our routes in the kernel that were not wanted,
	// sorted, whatever their form.
	Surplus []netip.Prefix
}

// Holds says that the kernel was seen to hold a wanted prefix, and to use it, as
// wanted.
func (r Result) Holds(wanted netip.Prefix) bool { return r.Seen && r.Failed[wanted] == nil }

// Settle fills in Installed, from the wanted routes.
func (r *Result) Settle(want []Route) {
	r.Installed = want
	if len(r.Failed) > 0 {
		r.Installed = slices.DeleteFunc(slices.Clone(want), func(w Route) bool { return !r.Holds(w.Prefix) })
	}
}
