package dataplane

import "net/netip"

// AddressRule says which of a node's addresses others are to reach it by. One of
// its fields is set, or none, which finds nothing.
type AddressRule struct {
	// Interfaces are names of links, the preferred first; a "*" at the end stands
	// for any more letters.
	Interfaces []string
	// CIDRs are ranges, the preferred first.
	CIDRs []netip.Prefix
	// CanReach are addresses: wanted is what the kernel sends to them from.
	CanReach []netip.Addr
}
