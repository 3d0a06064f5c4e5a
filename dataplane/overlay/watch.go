package overlay

import (
	"context"
	"encoding/binary"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/nl"
)

// last is what Apply wanted last, of which device.
type last struct {
	index      uint32
	forwards   forwardTable
	neighbours neighbourTable
}

func newLast(index uint32, want dataplane.Overlay) *last {
	l := &last{index: index}
	l.forwards, l.neighbours = tables(want)
	return l
}

// Watch asks for an Apply, since the device may no longer be what the last one left:
// it was changed, or an address or an entry of it, in another way than Apply did.
// The channel is that of nl.Monitor.Notices, in the network namespace of the thread
// that calls.
func (d *Device) Watch(ctx context.Context) (<-chan struct{}, error) {
	self, err := d.conn.PortID()
	if err != nil {
		return nil, err
	}
	m, err := nl.Subscribe(unix.RTNLGRP_LINK, unix.RTNLGRP_NEIGH, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		return nil, err
	}
	return m.Notices(ctx, func(e nl.Event) bool {
		l := d.last.Load()
		return l != nil && e.PortID != self && l.contradicts(e)
	}), nil
}

// contradicts errs on the side of an Apply too many: what cannot be read does.
// Of forwarding entries the kernel does not say who changed them, so each event
// is compared with what was wanted.
func (l *last) contradicts(e nl.Event) bool {
	switch e.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		link, err := nl.ParseLink(e.Body)
		return err != nil || link.Name == dataplane.OverlayLink || link.Index == l.index
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		// struct ifaddrmsg, the link's index at 4.
		return len(e.Body) < unix.SizeofIfAddrmsg || binary.NativeEndian.Uint32(e.Body[4:]) == l.index
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		gone := e.Type == unix.RTM_DELNEIGH
		if len(e.Body) > 0 && e.Body[0] == unix.AF_BRIDGE {
			return l.forwardContradicts(e.Body, gone)
		}
		return l.neighbourContradicts(e.Body, gone)
	}
	return false
}

func (l *last) forwardContradicts(body []byte, gone bool) bool {
	f, ok, err := nl.ParseForward(body)
	if err != nil || !ok || f.Link != l.index {
		return err != nil
	}
	to, wanted := l.forwards[dataplane.MAC(f.MAC)]
	asWanted := wanted && forwardTo(f) == to
	return asWanted == gone
}

// neighbourContradicts leaves out what the kernel makes of itself: see neighbours.
func (l *last) neighbourContradicts(body []byte, gone bool) bool {
	n, ok, err := nl.ParseNeighbour(body)
	if err != nil || !ok || n.Link != l.index {
		return err != nil
	}
	mac, wanted := l.neighbours[n.Addr]
	if gone || !wanted {
		return gone == wanted && (gone || n.State == unix.NUD_PERMANENT)
	}
	return n.State != unix.NUD_PERMANENT || dataplane.MAC(n.MAC) != mac
}
