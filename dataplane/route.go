package dataplane

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"strings"
)

// RouteKind is what the kernel does with a packet that a route matches.
type RouteKind uint8

const (
	// Unicast routes forward to NextHops.
	Unicast RouteKind = iota
	// Blackhole routes drop silently.
	Blackhole
	// Unknown is what List says of a prefix that our protocol number holds in a
	// way in which Fairlead would not write it: another metric, a weight, a
	// second route beside ours. It is never wanted; Apply replaces or deletes it.
	Unknown
)

// Route is one kernel route of the agent, in the main table, under
// ProtocolRoute and Metric. Prefix is its key.
type Route struct {
	Prefix netip.Prefix
	Kind   RouteKind
	// NextHops, sorted; several are ECMP. Empty for Blackhole. They are of the
	// prefix's family, and of an IPv4 prefix also IPv6 (RFC 8950). A link-local
	// IPv6 next hop carries its link as the zone (fe80::1%eth0) unless Link names
	// it; any other address has none.
	NextHops []netip.Addr
	// Link is the one that all next hops are on, whatever its subnets say
	// (RTNH_F_ONLINK). "" lets the kernel choose by its connected subnets.
	//
	// The kernel refuses an IPv6 next hop on a link when another of its routes, the
	// default apart, leads to that address over another link; never a link-local one.
	Link string
	// Source is the address that the node's own packets leave with unless they
	// have another (RTA_PREFSRC): of the prefix's family, and the node's own when
	// the route is written. Invalid lets the kernel choose. An IPv4 route goes
	// with its source, without a notification of its own.
	Source netip.Addr
	// Beside says that a subnet of the node's own with this very prefix, such as a
	// bridge's, may be used before it: what is behind that link has addresses of the
	// prefix, too. It is nothing that the kernel holds, and not part of what is compared.
	Beside bool `json:",omitempty"`
}

// Errors of Validate.
var (
	ErrPrefix  = errors.New("not a canonical prefix")
	ErrKind    = errors.New("kind is neither unicast nor blackhole")
	ErrNextHop = errors.New("bad next hop")
	ErrLink    = errors.New("bad link")
	ErrSource  = errors.New("bad preferred source")
)

// Canonical returns the route in the one form in which it is compared: prefix
// masked, next hops sorted and each once. It shares no memory with r.
func (r Route) Canonical() Route {
	r.Prefix = r.Prefix.Masked()
	r.NextHops = slices.Clone(r.NextHops)
	slices.SortFunc(r.NextHops, netip.Addr.Compare)
	r.NextHops = slices.Compact(r.NextHops)
	return r
}

// Equal says that two canonical routes are the same.
func (r Route) Equal(o Route) bool {
	return r.Prefix == o.Prefix && r.Kind == o.Kind && r.Link == o.Link && r.Source == o.Source &&
		slices.Equal(r.NextHops, o.NextHops)
}

// String is the route as ip-route(8) would say it: "10.244.3.0/26 via
// 10.2.0.11, 10.2.0.12", "10.244.4.0/26 via 10.9.0.2 dev fairlead-vxlan onlink
// src 10.244.1.0" or "blackhole 10.244.1.0/26".
func (r Route) String() string {
	switch r.Kind {
	case Blackhole:
		return "blackhole " + r.Prefix.String()
	case Unicast:
		hops := make([]string, len(r.NextHops))
		for i, hop := range r.NextHops {
			hops[i] = hop.String()
		}
		text := r.Prefix.String() + " via " + strings.Join(hops, ", ")
		if r.Link != "" {
			text += " dev " + r.Link + " onlink"
		}
		if r.Source.IsValid() {
			text += " src " + r.Source.String()
		}
		return text
	default:
		return r.Prefix.String() + " of a foreign shape"
	}
}

// ComparePrefix orders prefixes as every list of routes is sorted: IPv4 before
// IPv6, by address, the shorter prefix first.
func ComparePrefix(a, b netip.Prefix) int {
	if c := a.Addr().Compare(b.Addr()); c != 0 {
		return c
	}
	return cmp.Compare(a.Bits(), b.Bits())
}

// LastAddr is the highest address of a prefix: of an IPv4 subnet, its broadcast.
func LastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	addr, _ := netip.AddrFromSlice(b)
	return addr
}

// SortRoutes sorts by prefix, in place.
func SortRoutes(rs []Route) {
	slices.SortFunc(rs, func(a, b Route) int { return ComparePrefix(a.Prefix, b.Prefix) })
}
