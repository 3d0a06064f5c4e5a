package route

import (
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/nl"
)

// links are the indexes of the links that wanted routes name, 0 of one that does
// not exist. Each is looked up when it is first asked for: most nodes name none.
type links struct {
	kernel
	indexes map[string]uint32
	ways    ways
}

func (l links) index(name string) uint32 {
	index, known := l.indexes[name]
	if !known {
		index, _ = l.Index(name) // 0 with an error: there is none
		l.indexes[name] = index
	}
	return index
}

// linkOf is the name of the link that a next hop asks for, "" if any will do.
func linkOf(r *dataplane.Route, hop netip.Addr) string {
	if r.Link != "" || hop.Is4() {
		return r.Link
	}
	return hop.Zone()
}

// missing says which link of a route does not exist.
func (l links) missing(r *dataplane.Route) error {
	for _, addr := range r.NextHops {
		if name := linkOf(r, addr); name != "" && l.index(name) == 0 {
			return fmt.Errorf("%w: %s", ErrNoLink, name)
		}
	}
	return nil
}

// encode makes of raw the route as the kernel is to hold it.
func (l links) encode(raw *nl.Route, r *dataplane.Route) {
	*raw = nl.Route{
		Prefix:   r.Prefix,
		Table:    unix.RT_TABLE_MAIN,
		Protocol: dataplane.ProtocolRoute,
		Type:     unix.RTN_UNICAST,
		Metric:   dataplane.Metric,
		Hops:     raw.Hops[:0],
		Source:   r.Source,
	}
	if r.Kind == dataplane.Blackhole {
		raw.Type = unix.RTN_BLACKHOLE
	}
	for _, addr := range r.NextHops {
		hop := nl.Hop{Addr: addr.WithZone(""), OnLink: r.Link != ""}
		if name := linkOf(r, addr); name != "" {
			hop.Link = l.index(name)
		}
		raw.Hops = append(raw.Hops, hop)
	}
}

// same says that the kernel's route is just as wanted.
func (l links) same(raw *nl.Route, want *dataplane.Route) bool {
	if raw.Extra || raw.TOS != 0 || raw.Metric != dataplane.Metric || raw.Source != want.Source {
		return false
	}
	if want.Kind == dataplane.Blackhole {
		return raw.Type == unix.RTN_BLACKHOLE
	}
	if raw.Type != unix.RTN_UNICAST || len(raw.Hops) != len(want.NextHops) {
		return false
	}
	for i, addr := range want.NextHops { // each once, so as many in any order are all
		if !l.sameHop(raw.Hops[i], want, addr) &&
			!slices.ContainsFunc(raw.Hops, func(hop nl.Hop) bool { return l.sameHop(hop, want, addr) }) {
			return false
		}
	}
	return true
}

func (l links) sameHop(hop nl.Hop, want *dataplane.Route, addr netip.Addr) bool {
	if hop.OnLink != (want.Link != "") {
		return false
	}
	name := linkOf(want, addr)
	return name == "" && hop.Addr == addr && l.ways.leads(addr, hop.Link) ||
		name != "" && hop.Addr == addr.WithZone("") && hop.Link == l.index(name) && hop.Link != 0
}
