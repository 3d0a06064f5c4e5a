package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/nl"
)

// Defaults knows by which links the node's default routes go. To read them is to
// walk through the whole table, so it is only done after a change.
type Defaults struct {
	fresh      atomic.Bool
	ipv4, ipv6 []string
}

// Links returns the names of the links that the default route of each family
// goes by, sorted: the route of the least metric, or several of that metric (two
// routers that advertise themselves); of one route also those hops whose link is
// down. After an error they are those of before. It is to be called from one
// goroutine.
func (d *Defaults) Links() (ipv4, ipv6 []string, err error) {
	if d.fresh.Swap(true) {
		return d.ipv4, d.ipv6, nil
	}
	ipv4, err4 := defaultLinks(netlink.FAMILY_V4)
	ipv6, err6 := defaultLinks(netlink.FAMILY_V6)
	if err = errors.Join(err4, err6); err != nil {
		d.fresh.Store(false)
		return d.ipv4, d.ipv6, err
	}
	d.ipv4, d.ipv6 = ipv4, ipv6
	return ipv4, ipv6, nil
}

// Watch makes Links look again after each change that may concern it, and tells
// so. It is to be called before the first Links, which looks but once otherwise.
// The channel is that of nl.Monitor.Notices.
func (d *Defaults) Watch(ctx context.Context) (<-chan struct{}, error) {
	m, err := nl.Subscribe(unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE)
	if err != nil {
		return nil, err
	}
	// A hundred thousand learned routes are no reason to look, nor to lose a notification.
	if err := m.OnlyDefault(); err != nil {
		m.Close()
		return nil, err
	}
	return m.Notices(ctx, func(e nl.Event) bool {
		stale := e.Type == 0 || ofDefault(e)
		if stale {
			d.fresh.Store(false)
		}
		return stale
	}), nil
}

// ofDefault says that a notification is about a default route, or about a link
// that one may go by: an IPv4 route goes with its link without a word.
func ofDefault(e nl.Event) bool {
	switch e.Type {
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		const prefixLength = 1 // in struct rtmsg
		return len(e.Body) > prefixLength && e.Body[prefixLength] == 0
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		l, err := nl.ParseLink(e.Body)
		return err != nil || !dataplane.IsPodLink(l.Name)
	}
	return false
}

func defaultLinks(family int) ([]string, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink socket: %w", err)
	}
	defer h.Close()
	var best []netlink.Route
	err = h.RouteListFilteredIter(family, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE, func(r netlink.Route) bool {
		if r.Type != unix.RTN_UNICAST || !isDefault(r) {
			return true
		}
		if len(best) > 0 && r.Priority < best[0].Priority {
			best = nil
		}
		if len(best) == 0 || r.Priority == best[0].Priority {
			best = append(best, r)
		}
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("list default routes: %w", err)
	}
	indexes := map[int]bool{}
	for _, r := range best {
		indexes[r.LinkIndex] = true
		for _, hop := range r.MultiPath {
			indexes[hop.LinkIndex] = true
		}
	}
	delete(indexes, 0) // of a route that has several hops
	names := map[string]bool{}
	for i := range indexes {
		l, err := h.LinkByIndex(i)
		if errors.As(err, &netlink.LinkNotFoundError{}) {
			continue // gone since, and the route with it
		}
		if err != nil {
			return nil, fmt.Errorf("look up link %d: %w", i, err)
		}
		names[l.Attrs().Name] = true
	}
	return slices.Sorted(maps.Keys(names)), nil
}

func isDefault(r netlink.Route) bool {
	if r.Dst == nil {
		return true
	}
	ones, _ := r.Dst.Mask.Size()
	return ones == 0
}
