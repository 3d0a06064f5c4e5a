package dataplane

import (
	"cmp"
	"errors"
	"fmt"
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
	// way in which Fairlead would not write it: another metric, a preferred
	// source, a second route beside ours. It is never wanted; Diff replaces or
	// deletes it.
	Unknown
)

// Route is one kernel route of the agent, in the main table, under
// ProtocolRoute and Metric. Prefix is its key.
type Route struct {
	Prefix netip.Prefix
	Kind   RouteKind
	// NextHops, sorted, of the prefix's own family; several are ECMP. Empty for
	// Blackhole. A link-local IPv6 next hop carries its link as the zone
	// (fe80::1%eth0), any other address has none.
	NextHops []netip.Addr
}

// Result is what Apply left behind.
type Result struct {
	// Installed are our routes that the kernel holds and uses, read back from
	// it and sorted by prefix: also those that nobody wants any more but that
	// were not to be pruned, and what holds the place of a failed replacement.
	Installed []Route
	// Failed says for each wanted prefix that is not in Installed as wanted, why.
	Failed map[netip.Prefix]error
	// Surplus are the prefixes of our routes in the kernel that were not wanted,
	// sorted: also of those that are not in Installed because of their odd form
	// or because a foreign route is in their way.
	Surplus []netip.Prefix
}

// Errors of Validate.
var (
	ErrPrefix  = errors.New("not a canonical prefix")
	ErrKind    = errors.New("kind is neither unicast nor blackhole")
	ErrNextHop = errors.New("bad next hop")
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

// Validate says what keeps a canonical route from being written to the kernel.
func (r Route) Validate() error {
	if !r.Prefix.IsValid() || r.Prefix != r.Prefix.Masked() || r.Prefix.Addr().Is4In6() {
		return fmt.Errorf("route %s: %w", r, ErrPrefix)
	}
	if err := r.validateKind(); err != nil {
		return fmt.Errorf("route %s: %w", r, err)
	}
	for _, hop := range r.NextHops {
		if err := validateHop(r.Prefix, hop); err != nil {
			return fmt.Errorf("route %s: %w %s: %w", r.Prefix, ErrNextHop, hop, err)
		}
	}
	return nil
}

func (r Route) validateKind() error {
	switch {
	case r.Kind == Unicast && len(r.NextHops) == 0:
		return fmt.Errorf("%w: a unicast route needs at least one", ErrNextHop)
	case r.Kind == Unicast && !slices.IsSortedFunc(r.NextHops, hopOrder):
		return fmt.Errorf("%w: not sorted, or one of them twice", ErrNextHop)
	case r.Kind == Blackhole && len(r.NextHops) != 0:
		return fmt.Errorf("%w: a blackhole has none", ErrNextHop)
	case r.Kind > Blackhole:
		return ErrKind
	}
	return nil
}

// hopOrder makes two equal neighbours count as out of order.
func hopOrder(a, b netip.Addr) int {
	if c := a.Compare(b); c != 0 {
		return c
	}
	return -1
}

func validateHop(p netip.Prefix, hop netip.Addr) error {
	switch {
	case hop.BitLen() != p.Addr().BitLen() || hop.Is4In6():
		return errors.New("not of the prefix's family")
	case hop.IsUnspecified() || hop.IsMulticast() || hop.IsLoopback():
		return errors.New("not the address of a neighbour")
	case hop.Is6() && hop.IsLinkLocalUnicast() && hop.Zone() == "":
		return errors.New("link-local without its link")
	case hop.Zone() != "" && !hop.IsLinkLocalUnicast():
		return errors.New("a link is named, but the address is not link-local")
	}
	return nil
}

// Equal says that two canonical routes are the same.
func (r Route) Equal(o Route) bool {
	return r.Prefix == o.Prefix && r.Kind == o.Kind && slices.Equal(r.NextHops, o.NextHops)
}

// String is the route as ip-route(8) would say it: "10.244.3.0/26 via
// 10.2.0.11, 10.2.0.12" or "blackhole 10.244.1.0/26".
func (r Route) String() string {
	switch r.Kind {
	case Blackhole:
		return "blackhole " + r.Prefix.String()
	case Unicast:
		hops := make([]string, len(r.NextHops))
		for i, hop := range r.NextHops {
			hops[i] = hop.String()
		}
		return r.Prefix.String() + " via " + strings.Join(hops, ", ")
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

// SortRoutes sorts by prefix, in place.
func SortRoutes(rs []Route) {
	slices.SortFunc(rs, func(a, b Route) int { return ComparePrefix(a.Prefix, b.Prefix) })
}
