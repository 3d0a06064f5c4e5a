package nl

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	rtnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// rtaNexthopID is RTA_NH_ID of include/uapi/linux/rtnetlink.h, which x/sys lacks.
const rtaNexthopID = 30

// ParseRoute reads struct rtmsg and its attributes. It is not ok for what is in
// no forwarding table: cache entries, multicast routes; nor for IPv6 routes that
// depend on the source, which have another key.
func ParseRoute(b []byte) (r Route, ok bool, err error) {
	ok, err = r.parse(b)
	return r, ok, err
}

// parse is ParseRoute into memory that is used again and again.
func (r *Route) parse(b []byte) (ok bool, err error) {
	if len(b) < unix.SizeofRtMsg {
		return false, fmt.Errorf("%w: route of %d bytes", ErrMalformed, len(b))
	}
	msg := rtnl.DeserializeRtMsg(b)
	zero, known := unspecified(msg.Family)
	if !known || msg.Src_len != 0 || msg.Flags&unix.RTM_F_CLONED != 0 {
		return false, nil
	}
	*r = Route{
		Prefix: netip.PrefixFrom(zero, int(msg.Dst_len)), TOS: msg.Tos,
		Table: uint32(msg.Table), Protocol: msg.Protocol, Type: msg.Type,
		Hops:  r.Hops[:0],
		Extra: msg.Scope != unix.RT_SCOPE_UNIVERSE,
	}
	p := routeParser{route: r}
	for rest := b[unix.SizeofRtMsg:]; len(rest) > 0; {
		typ, value, next, err := nextAttr(rest)
		if err == nil {
			err = p.attr(typ, value)
		}
		if err != nil {
			return false, fmt.Errorf("parse route: %w", err)
		}
		rest = next
	}
	if err := r.checkPrefix(); err != nil {
		return false, err
	}
	switch {
	case p.object:
		r.Hops = r.Hops[:0] // they are the object's, and no route can be found by them
	case p.hop != Hop{}:
		r.Extra = p.hop.setFlags(uint8(msg.Flags)) || r.Extra
		r.Hops = append(r.Hops[:0], p.hop)
	}
	return true, nil
}

func (r *Route) checkPrefix() error {
	if !r.Prefix.IsValid() || !masked(r.Prefix) {
		return fmt.Errorf("parse route: %w: prefix %s", ErrMalformed, r.Prefix)
	}
	return nil
}

// masked is p == p.Masked(), in a tenth of the time where it is IPv4.
func masked(p netip.Prefix) bool {
	if a := p.Addr(); a.Is4() {
		bytes := a.As4()
		return binary.BigEndian.Uint32(bytes[:])<<p.Bits() == 0
	}
	return p == p.Masked()
}

func unspecified(family uint8) (zero netip.Addr, known bool) {
	switch family {
	case unix.AF_INET:
		return netip.IPv4Unspecified(), true
	case unix.AF_INET6:
		return netip.IPv6Unspecified(), true
	}
	return netip.Addr{}, false
}

// routeParser fills in route attribute by attribute.
type routeParser struct {
	route  *Route
	hop    Hop  // the route's own gateway and link
	object bool // the hops are a nexthop object's
}

func (p *routeParser) attr(typ uint16, value []byte) (err error) {
	r := p.route
	switch typ {
	case unix.RTA_DST:
		var a netip.Addr
		a, err = p.addr(value)
		r.Prefix = netip.PrefixFrom(a, r.Prefix.Bits())
	case unix.RTA_TABLE:
		r.Table, err = uint32Value(value)
	case unix.RTA_PRIORITY:
		r.Metric, err = uint32Value(value)
	case unix.RTA_GATEWAY:
		p.hop.Addr, err = p.addr(value)
	case unix.RTA_VIA:
		p.hop.Addr, err = via(value)
	case unix.RTA_PREFSRC:
		r.Source, err = p.addr(value)
	case unix.RTA_OIF:
		p.hop.Link, err = uint32Value(value)
	case unix.RTA_MULTIPATH:
		err = p.multipath(value)
	case unix.RTA_CACHEINFO:
		err = p.cacheInfo(value)
	case unix.RTA_PREF: // RFC 4191: medium, 0, unless someone asked for another
		r.Extra = r.Extra || len(value) != 1 || value[0] != 0
	case rtaNexthopID:
		p.object, r.Extra = true, true
	default:
		r.Extra = true
	}
	return err
}

// cacheInfo reads of struct rta_cacheinfo the third word: the lifetime left, 0
// for ever.
func (p *routeParser) cacheInfo(b []byte) error {
	if len(b) < 12 {
		return fmt.Errorf("%w: cache info of %d bytes", ErrMalformed, len(b))
	}
	p.route.Extra = p.route.Extra || binary.NativeEndian.Uint32(b[8:]) != 0
	return nil
}

// addr reads an address of the route's family.
func (p *routeParser) addr(b []byte) (netip.Addr, error) {
	a, ok := netip.AddrFromSlice(b)
	if !ok || a.BitLen() != p.route.Prefix.Addr().BitLen() {
		return netip.Addr{}, fmt.Errorf("%w: address of %d bytes", ErrMalformed, len(b))
	}
	return a, nil
}
