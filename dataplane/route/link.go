package route

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/nl"
)

// links are those of the node, by index and by name. They are listed only where
// a next hop, wanted or there, makes them needed; empty otherwise.
type links struct {
	names   map[uint32]string
	indexes map[string]uint32
}

// name of a link; one that is gone by now has its number for a name, and so
// equals none that is wanted.
func (l links) name(index uint32) string {
	if name, ok := l.names[index]; ok {
		return name
	}
	return fmt.Sprint(index)
}

func (l links) index(name string) (uint32, error) {
	if index, ok := l.indexes[name]; ok {
		return index, nil
	}
	return 0, fmt.Errorf("%w: %s", ErrNoLink, name)
}

// links lists the links if the routes name any.
func (t *Table) links(want []dataplane.Route, s *survey) (links, error) {
	if !wantsLink(want) && !s.namesLink() {
		return links{}, nil
	}
	list, err := t.kernel.Links()
	if err != nil {
		return links{}, err
	}
	l := links{names: make(map[uint32]string, len(list)), indexes: make(map[string]uint32, len(list))}
	for _, link := range list {
		l.names[link.Index], l.indexes[link.Name] = link.Name, link.Index
	}
	return l, nil
}

func wantsLink(want []dataplane.Route) bool {
	for _, r := range want {
		if r.Link != "" {
			return true
		}
		for _, hop := range r.NextHops {
			if hop.Zone() != "" {
				return true
			}
		}
	}
	return false
}

func (s *survey) namesLink() bool {
	for _, at := range s.slots {
		for _, r := range at.own {
			for _, hop := range r.Hops {
				if hop.OnLink || isLinkLocal(hop.Addr) {
					return true
				}
			}
		}
	}
	return false
}

func isLinkLocal(a netip.Addr) bool { return a.Is6() && a.IsLinkLocalUnicast() }

// encode is the route as the kernel is to hold it.
func (l links) encode(r dataplane.Route) (nl.Route, error) {
	raw := nl.Route{
		Prefix:   r.Prefix,
		Table:    unix.RT_TABLE_MAIN,
		Protocol: dataplane.ProtocolRoute,
		Type:     unix.RTN_UNICAST,
		Metric:   dataplane.Metric,
		Source:   r.Source,
	}
	if r.Kind == dataplane.Blackhole {
		raw.Type = unix.RTN_BLACKHOLE
	}
	for _, addr := range r.NextHops {
		hop := nl.Hop{Addr: addr.WithZone(""), OnLink: r.Link != ""}
		name := r.Link
		if name == "" {
			name = addr.Zone()
		}
		if name != "" {
			index, err := l.index(name)
			if err != nil {
				return nl.Route{}, err
			}
			hop.Link = index
		}
		raw.Hops = append(raw.Hops, hop)
	}
	return raw, nil
}

// decode is what of Route the next hops tell. It is not ok where they are
// told in no form in which we write them.
func (l links) decode(hops []nl.Hop) (link string, addrs []netip.Addr, ok bool) {
	addrs = make([]netip.Addr, len(hops))
	for i, hop := range hops {
		if hop.OnLink != hops[0].OnLink || hop.OnLink && hop.Link != hops[0].Link {
			return "", nil, false
		}
		addrs[i] = hop.Addr
		if isLinkLocal(hop.Addr) && !hop.OnLink {
			addrs[i] = hop.Addr.WithZone(l.name(hop.Link))
		}
	}
	if len(hops) > 0 && hops[0].OnLink {
		link = l.name(hops[0].Link)
	}
	return link, addrs, true
}
