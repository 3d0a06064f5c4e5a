package route

import (
	"fmt"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/nl"
)

// linkNames are the links by index. They are listed only where a link-local
// next hop, wanted or there, makes them needed; nil otherwise.
type linkNames map[uint32]string

// name of a link; one that is gone by now has its number for a name, and so
// equals none that is wanted.
func (l linkNames) name(index uint32) string {
	if name, ok := l[index]; ok {
		return name
	}
	return fmt.Sprint(index)
}

func (l linkNames) index(name string) (uint32, error) {
	for index, n := range l {
		if n == name {
			return index, nil
		}
	}
	return 0, fmt.Errorf("%w: %s", ErrNoLink, name)
}

// links lists the links if the routes name any.
func (t *Table) links(want []dataplane.Route, s *survey) (linkNames, error) {
	if !wantsLink(want) && !s.hasLinkLocal() {
		return nil, nil
	}
	links, err := t.kernel.Links()
	if err != nil {
		return nil, err
	}
	names := make(linkNames, len(links))
	for _, l := range links {
		names[l.Index] = l.Name
	}
	return names, nil
}

func wantsLink(want []dataplane.Route) bool {
	for _, r := range want {
		for _, hop := range r.NextHops {
			if hop.Zone() != "" {
				return true
			}
		}
	}
	return false
}

func (s *survey) hasLinkLocal() bool {
	for _, at := range s.slots {
		for _, r := range at.own {
			for _, hop := range r.Hops {
				if hop.Addr.Is6() && hop.Addr.IsLinkLocalUnicast() {
					return true
				}
			}
		}
	}
	return false
}

// encode is the route as the kernel is to hold it.
func (l linkNames) encode(r dataplane.Route) (nl.Route, error) {
	raw := nl.Route{
		Prefix:   r.Prefix,
		Table:    unix.RT_TABLE_MAIN,
		Protocol: dataplane.ProtocolRoute,
		Type:     unix.RTN_UNICAST,
		Metric:   dataplane.Metric,
	}
	if r.Kind == dataplane.Blackhole {
		raw.Type = unix.RTN_BLACKHOLE
	}
	for _, addr := range r.NextHops {
		hop := nl.Hop{Addr: addr.WithZone("")}
		if zone := addr.Zone(); zone != "" {
			index, err := l.index(zone)
			if err != nil {
				return nl.Route{}, err
			}
			hop.Link = index
		}
		raw.Hops = append(raw.Hops, hop)
	}
	return raw, nil
}
