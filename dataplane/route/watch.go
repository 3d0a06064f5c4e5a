package route

import (
	"context"
	"encoding/binary"
	"net/netip"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/nl"
)

// Watch tells that the kernel may no longer hold what Apply left: our routes
// were changed by anyone but this Table, a foreign route came into the way of a
// route that the last Apply wanted or went out of it, or a link or an address of the node
// changed (IPv4 routes go with their link without a word). Pods' links are left
// out. An Apply is asked for. The channel is that of nl.Monitor.Notices, in the network
// namespace of the thread that calls.
func (t *Table) Watch(ctx context.Context) (<-chan struct{}, error) {
	m, err := t.subscribe(watchGroups()...)
	if err != nil {
		return nil, err
	}
	return m.Notices(ctx, t.filter().hears), nil
}

// subscribe hears of what others than this Table cause.
func (t *Table) subscribe(groups ...uint) (*nl.Monitor, error) {
	self, err := t.conn.PortID()
	if err != nil {
		return nil, err
	}
	m, err := nl.Subscribe(groups...)
	if err != nil {
		return nil, err
	}
	if err := m.Ignore(self); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

func watchGroups() []uint {
	return []uint{
		unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE,
		unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
	}
}

// filter tells the events that call for an Apply from the rest.
type filter struct {
	wanted func(netip.Prefix) bool // by the last Apply
	pods   map[uint32]bool         // indexes of pod links seen
	moved  *atomic.Bool            // whether links or addresses may have changed
}

func (t *Table) filter() *filter {
	return &filter{wanted: t.wants, pods: map[uint32]bool{}, moved: &t.moved}
}

// hears is matters, and notes what Apply has to look up again.
func (f *filter) hears(e nl.Event) bool {
	lost, matters := e.Type == 0, f.matters(e)
	if route := e.Type == unix.RTM_NEWROUTE || e.Type == unix.RTM_DELROUTE; lost || matters && !route {
		f.moved.Store(true)
	}
	return matters
}

// matters errs on the side of an Apply too many: what cannot be read matters.
func (f *filter) matters(e nl.Event) bool {
	switch e.Type {
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		return f.routeMatters(e.Body)
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		l, err := nl.ParseLink(e.Body)
		pod := err == nil && dataplane.IsPodLink(l.Name)
		if pod && e.Type == unix.RTM_NEWLINK {
			f.pods[l.Index] = true
		} else {
			delete(f.pods, l.Index)
		}
		return !pod
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		// struct ifaddrmsg, the link's index at 4.
		return len(e.Body) < unix.SizeofIfAddrmsg || !f.pods[binary.NativeEndian.Uint32(e.Body[4:])]
	}
	return false
}

// routeMatters also for foreign routes with our metric: one that replaced a
// route of ours is all that is said of it. And for those that stand in the way of
// a wanted route, whose end lets it be used.
func (f *filter) routeMatters(body []byte) bool {
	r, ok, err := nl.ParseRoute(body)
	return err != nil || ok && r.Table == unix.RT_TABLE_MAIN &&
		(r.Protocol == dataplane.ProtocolRoute || r.Metric == dataplane.Metric || rivals(&r) && f.wanted(r.Prefix))
}
