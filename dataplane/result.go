package dataplane

import "net/netip"

// Result is what Apply left behind, read back from the kernel. Its size is that
// of what is not as wanted: everything else is.
type Result struct {
	// Seen says that the kernel was read back. Where it was not nothing is known,
	// and the rest is empty.
	Seen bool
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
