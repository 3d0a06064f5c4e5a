package nl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	rtnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Route is one route as rtnetlink tells it.
type Route struct {
	Prefix   netip.Prefix
	Table    uint32
	Protocol uint8
	// Type is RTN_UNICAST, RTN_BLACKHOLE ...
	Type   uint8
	TOS    uint8
	Metric uint32
	Hops   []Hop
	// Source is the preferred source address, invalid if there is none.
	Source netip.Addr
	// Extra says that the route has what this struct does not tell: a weight,
	// metrics, a lifetime, a nexthop object, encapsulation ...
	Extra bool
}

// Equal says that two routes are the same in all that is told of them.
func (r Route) Equal(o Route) bool {
	return r.Prefix == o.Prefix && r.Table == o.Table && r.Protocol == o.Protocol && r.Type == o.Type &&
		r.TOS == o.TOS && r.Metric == o.Metric && r.Source == o.Source && r.Extra == o.Extra && slices.Equal(r.Hops, o.Hops)
}

// Family of the route, AF_INET or AF_INET6.
func (r Route) Family() uint8 { return family(r.Prefix.Addr()) }

func family(a netip.Addr) uint8 {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// Routes lists the routes of one family in the main table that keep says yes
// to, in the kernel's order. Routes of one prefix follow each other, the one in
// use first. A family that the kernel does not have has no routes.
func (c *Conn) Routes(family uint8, keep func(Route) bool) ([]Route, error) {
	return c.routes(family, unix.RT_TABLE_MAIN, keep)
}

// RoutesOfAllTables is Routes for the main table and all others.
func (c *Conn) RoutesOfAllTables(family uint8, keep func(Route) bool) ([]Route, error) {
	return c.routes(family, unix.RT_TABLE_UNSPEC, keep)
}

func (c *Conn) routes(family uint8, table uint32, keep func(Route) bool) ([]Route, error) {
	req := request(
		unix.RTM_GETROUTE, 0,
		&rtnl.RtMsg{RtMsg: unix.RtMsg{Family: family}}, attrUint32(unix.RTA_TABLE, table),
	)
	routes, err := collect(c, req, routeGroup(family), func(body []byte) (Route, bool, error) {
		if len(body) > 0 && body[0] != family {
			return Route{}, false, nil // a kernel without the family answers with all others
		}
		r, ok, err := ParseRoute(body)
		return r, ok && err == nil && keep(r), err
	})
	// IPv4 makes a table with its first route, until then there is none to dump.
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return routes, fmt.Errorf("list routes: %w", err)
	}
	return routes, nil
}

func routeGroup(family uint8) int {
	if family == unix.AF_INET {
		return unix.RTNLGRP_IPV4_ROUTE
	}
	return unix.RTNLGRP_IPV6_ROUTE
}

// AddRoute is the request to make r, for a prefix and metric not there yet.
func AddRoute(r Route) Message {
	return r.request(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, unix.RT_SCOPE_UNIVERSE)
}

// ReplaceRoute is the request to put r in the place of the first route of its
// prefix and metric, whatever the protocol of that one, or to make it.
func ReplaceRoute(r Route) Message {
	return r.request(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, unix.RT_SCOPE_UNIVERSE)
}

// DeleteRoute is the request to remove r, all of its next hops.
func DeleteRoute(r Route) Message {
	if r.Family() == unix.AF_INET6 {
		// With a gateway named, IPv6 removes that one hop of several; with only
		// the link, the whole route.
		r.Hops = r.Hops[:min(1, len(r.Hops))]
		if len(r.Hops) == 1 {
			r.Hops = []Hop{{Link: r.Hops[0].Link}}
		}
	}
	return r.request(unix.RTM_DELROUTE, 0, unix.RT_SCOPE_NOWHERE)
}

// request is struct rtmsg with its attributes. They are written by hand and not
// by the library's objects, of which a route needs a dozen: it is the one request
// that is made by the hundred thousand.
func (r Route) request(typ, flags int, scope uint8) Message {
	msg := &rtnl.RtMsg{RtMsg: unix.RtMsg{
		Family: r.Family(), Dst_len: uint8(r.Prefix.Bits()), Tos: r.TOS,
		Table: tableByte(r.Table), Protocol: r.Protocol, Scope: scope, Type: r.Type,
	}}
	if len(r.Hops) == 1 {
		msg.Flags = uint32(r.Hops[0].flags())
	}
	req := request(typ, flags, msg)
	b := make([]byte, 0, 96+40*len(r.Hops))
	b = appendAttr(b, unix.RTA_DST, r.Prefix.Addr().AsSlice())
	b = appendAttrUint32(b, unix.RTA_TABLE, r.Table)
	b = appendAttrUint32(b, unix.RTA_PRIORITY, r.Metric)
	if r.Source.IsValid() {
		b = appendAttr(b, unix.RTA_PREFSRC, r.Source.AsSlice())
	}
	switch len(r.Hops) {
	case 0:
	case 1:
		b = r.Hops[0].appendGateway(b, r.Family())
		if link := r.Hops[0].Link; link != 0 {
			b = appendAttrUint32(b, unix.RTA_OIF, link)
		}
	default:
		var hops []byte
		for _, hop := range r.Hops {
			hops = hop.appendNextHop(hops, r.Family())
		}
		b = appendAttr(b, unix.RTA_MULTIPATH, hops)
	}
	req.RawData = b
	return req
}

// appendAttr adds a struct rtattr, padded to whole words.
func appendAttr(b []byte, typ uint16, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(value)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = append(b, value...)
	return append(b, make([]byte, aligned(len(value))-len(value))...)
}

func appendAttrUint32(b []byte, typ uint16, value uint32) []byte {
	b = binary.NativeEndian.AppendUint16(b, unix.SizeofRtAttr+4)
	b = binary.NativeEndian.AppendUint16(b, typ)
	return binary.NativeEndian.AppendUint32(b, value)
}

// tableByte is rtm_table: the number where it fits, RTA_TABLE says it in any case.
func tableByte(table uint32) uint8 {
	if table > 0xff {
		return unix.RT_TABLE_COMPAT
	}
	return uint8(table)
}
