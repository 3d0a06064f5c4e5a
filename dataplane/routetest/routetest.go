// Package routetest writes wanted routes as short as tests like to read them.
package routetest

import (
	"net/netip"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fairlead.dev/dataplane"
)

// Via is a route by next hops.
func Via(prefix string, hops ...string) dataplane.Route {
	r := dataplane.Route{Prefix: netip.MustParsePrefix(prefix)}
	for _, hop := range hops {
		r.NextHops = append(r.NextHops, netip.MustParseAddr(hop))
	}
	return r
}

// OnLink is r with its next hops on a link, whatever the link's subnets say.
func OnLink(r dataplane.Route, link string) dataplane.Route {
	r.Link = link
	return r
}

// From is r with a preferred source.
func From(r dataplane.Route, source string) dataplane.Route {
	r.Source = netip.MustParseAddr(source)
	return r
}

// Blackhole is a route to nowhere.
func Blackhole(prefix string) dataplane.Route {
	return dataplane.Route{Prefix: netip.MustParsePrefix(prefix), Kind: dataplane.Blackhole}
}

// Diff is empty if the routes are the same, in the same order.
func Diff(want, got []dataplane.Route) string {
	return cmp.Diff(want, got, cmpopts.EquateEmpty(), cmp.Comparer(dataplane.Route.Equal))
}
