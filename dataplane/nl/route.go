package nl

import (
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

// Clone shares no memory with r.
func (r *Route) Clone() Route {
	out := *r
	out.Hops = slices.Clone(r.Hops)
	return out
}

// Family of the route, AF_INET or AF_INET6.
func (r *Route) Family() uint8 { return family(r.Prefix.Addr()) }

func family(a netip.Addr) uint8 {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// Scan lists the routes of one family in the main table. Each time that the
// kernel is asked, start says who is handed them, one by one, as it tells them:
// in its order, those of one prefix after each other, the one in use first. They
// are all that there are, unless the error is ErrInterrupted; those of an earlier
// time are void. The Route is the visitor's during the call only, which must not
// exchange messages by the Conn. A family that the kernel does not have has no routes.
func (c *Conn) Scan(family uint8, start func() (visit func(*Route))) error {
	return c.scan(family, unix.RT_TABLE_MAIN, start)
}

// Routes lists the routes of one family in the main table that keep says yes to.
func (c *Conn) Routes(family uint8, keep func(Route) bool) ([]Route, error) {
	return c.routes(family, unix.RT_TABLE_MAIN, keep)
}

// RoutesOfAllTables is Routes for the main table and all others.
func (c *Conn) RoutesOfAllTables(family uint8, keep func(Route) bool) ([]Route, error) {
	return c.routes(family, unix.RT_TABLE_UNSPEC, keep)
}

func (c *Conn) routes(family uint8, table uint32, keep func(Route) bool) ([]Route, error) {
	var routes []Route
	err := c.scan(family, table, func() func(*Route) {
		routes = routes[:0]
		return func(r *Route) {
			if keep(*r) {
				routes = append(routes, r.Clone())
			}
		}
	})
	return routes, err
}

func (c *Conn) scan(family uint8, table uint32, start func() (visit func(*Route))) error {
	req := request(
		unix.RTM_GETROUTE, 0,
		&rtnl.RtMsg{RtMsg: unix.RtMsg{Family: family}}, attrUint32(unix.RTA_TABLE, table),
	)
	var p reader
	err := c.attempt(req, routeGroup(family), func() func([]byte) error {
		visit := start()
		return func(body []byte) error {
			if len(body) > 0 && body[0] != family {
				return nil // a kernel without the family answers with all others
			}
			ok, err := p.read(body)
			if ok && err == nil {
				visit(&p.route)
			}
			return err
		}
	})
	// IPv4 makes a table with its first route, until then there is none to dump.
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("list routes: %w", err)
	}
	return nil
}

func routeGroup(family uint8) int {
	if family == unix.AF_INET {
		return unix.RTNLGRP_IPV4_ROUTE
	}
	return unix.RTNLGRP_IPV6_ROUTE
}
