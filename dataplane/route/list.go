package route

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/nl"
)

// List returns our routes, sorted by prefix, each prefix once. A prefix that
// ours hold in a way that Apply would repair is told as dataplane.Unknown. With
// an error that is nl.ErrInterrupted come the routes that were seen.
func (t *Table) List() ([]dataplane.Route, error) {
	looks, err := t.look(nil)
	if err != nil {
		return nil, err
	}
	list, linkErr := t.kernel.Links()
	names := make(map[uint32]string, len(list))
	for _, link := range list {
		names[link.Index] = link.Name
	}
	var routes []dataplane.Route
	for _, l := range looks {
		if l.partial {
			err = nl.ErrInterrupted
		}
		slices.SortStableFunc(l.unwanted, func(a, b nl.Route) int { return dataplane.ComparePrefix(a.Prefix, b.Prefix) })
		for own := l.unwanted; len(own) > 0; {
			same := slices.IndexFunc(own, func(r nl.Route) bool { return r.Prefix != own[0].Prefix })
			if same < 0 {
				same = len(own)
			}
			routes = append(routes, decode(own[:same], names))
			own = own[same:]
		}
	}
	return routes, errors.Join(err, linkErr)
}

// decode is what our routes for one prefix are, all of them.
func decode(own []nl.Route, names map[uint32]string) dataplane.Route {
	r := own[0]
	unknown := dataplane.Route{Prefix: r.Prefix, Kind: dataplane.Unknown}
	// An interrupted listing tells some twice.
	if slices.ContainsFunc(own, func(o nl.Route) bool { return !o.Equal(r) }) ||
		r.Extra || r.TOS != 0 || r.Metric != dataplane.Metric {
		return unknown
	}
	out := dataplane.Route{Prefix: r.Prefix, Source: r.Source}
	switch r.Type {
	case unix.RTN_BLACKHOLE: // IPv6 says of it that it is on lo
		out.Kind, r.Hops = dataplane.Blackhole, nil
	case unix.RTN_UNICAST:
	default:
		return unknown
	}
	for _, hop := range r.Hops {
		name, ok := names[hop.Link]
		if !ok {
			name = fmt.Sprint(hop.Link) // gone by now
		}
		switch {
		case hop.OnLink != r.Hops[0].OnLink || hop.OnLink && hop.Link != r.Hops[0].Link:
			return unknown
		case hop.OnLink:
			out.Link = name
		case isLinkLocal(hop.Addr):
			hop.Addr = hop.Addr.WithZone(name)
		}
		out.NextHops = append(out.NextHops, hop.Addr)
	}
	out = out.Canonical()
	// A hop twice, or a route to a link without a gateway.
	if len(out.NextHops) != len(r.Hops) || out.Validate() != nil {
		return unknown
	}
	return out
}

func isLinkLocal(a netip.Addr) bool { return a.Is6() && a.IsLinkLocalUnicast() }
