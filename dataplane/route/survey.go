package route

import (
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/nl"
)

// survey is what one look at the main table found, by prefix.
type survey struct {
	slots map[netip.Prefix]*slot
	links links
}

// slot is one prefix.
type slot struct {
	// own are our routes in the kernel's order: by metric, then by age.
	own []nl.Route
	// rival is the foreign route that the kernel would use first.
	rival *nl.Route
	// twin is a foreign route with our metric, which a replacement would hit.
	twin *nl.Route
}

// rivals says that a route for a wanted prefix stands in its way: a foreign one
// that the kernel prefers, or takes for the same. A pod's own route does not:
// in a block of one address it is what the block is for.
func rivals(r nl.Route) bool {
	return r.Protocol != dataplane.ProtocolRoute && r.Protocol != dataplane.ProtocolPod &&
		r.Metric <= dataplane.Metric && r.TOS == 0
}

func (s *survey) add(r nl.Route) {
	at := s.slots[r.Prefix]
	if at == nil {
		at = &slot{}
		s.slots[r.Prefix] = at
	}
	if r.Protocol != dataplane.ProtocolRoute && r.Metric == dataplane.Metric {
		at.twin = &r
	}
	switch {
	case r.Protocol == dataplane.ProtocolRoute:
		// An interrupted listing tells some twice.
		if !slices.ContainsFunc(at.own, func(o nl.Route) bool { return o.Equal(r) }) {
			at.own = append(at.own, r)
		}
	case at.rival == nil || r.Metric < at.rival.Metric:
		at.rival = &r
	}
}

// ours lists our prefixes, sorted.
func (s *survey) ours() []dataplane.Route {
	var rs []dataplane.Route
	for p, at := range s.slots {
		if len(at.own) > 0 {
			rs = append(rs, s.route(p, at))
		}
	}
	dataplane.SortRoutes(rs)
	return rs
}

// route is what a slot with routes of ours holds.
func (s *survey) route(p netip.Prefix, at *slot) dataplane.Route {
	unknown := dataplane.Route{Prefix: p, Kind: dataplane.Unknown}
	r := at.own[0]
	if len(at.own) != 1 || r.Extra || r.TOS != 0 || r.Metric != dataplane.Metric {
		return unknown
	}
	switch r.Type {
	case unix.RTN_BLACKHOLE:
		if r.Source.IsValid() {
			return unknown
		}
		return dataplane.Route{Prefix: p, Kind: dataplane.Blackhole}
	case unix.RTN_UNICAST:
	default:
		return unknown
	}
	link, hops, ok := s.links.decode(r.Hops)
	out := dataplane.Route{Prefix: p, NextHops: hops, Link: link, Source: r.Source}.Canonical()
	// A hop twice, or a route to a link without a gateway.
	if !ok || len(out.NextHops) != len(hops) || out.Validate() != nil {
		return unknown
	}
	return out
}

// settle compares what was wanted with what is there: the routes in use, and
// for each wanted one that is not among them the reason, which is the kernel's
// refusal where there was one.
func (s *survey) settle(want []dataplane.Route, refused map[netip.Prefix]error) dataplane.Result {
	failed := map[netip.Prefix]error{}
	for _, w := range want {
		at := s.slots[w.Prefix]
		switch {
		case at != nil && at.rival != nil:
			failed[w.Prefix] = fmt.Errorf("route %s: %w", w, rivalError(*at.rival))
		case at != nil && s.route(w.Prefix, at).Equal(w): // whoever wrote it
		case refused[w.Prefix] != nil:
			failed[w.Prefix] = refused[w.Prefix]
		default:
			failed[w.Prefix] = fmt.Errorf("route %s: %w", w, ErrVanished)
		}
	}
	installed := slices.DeleteFunc(s.ours(), func(r dataplane.Route) bool {
		return r.Kind == dataplane.Unknown || s.slots[r.Prefix].rival != nil
	})
	return dataplane.Result{Installed: installed, Failed: failed}
}
