package nl

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	rtnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// hopFlags are the flags that the kernel sets by itself on a next hop; any
// other was asked for by whoever made the route.
const hopFlags = unix.RTNH_F_DEAD | unix.RTNH_F_LINKDOWN | unix.RTNH_F_UNRESOLVED |
	unix.RTNH_F_OFFLOAD | unix.RTNH_F_TRAP

// routeHopFlags are the bits of rtm_flags that belong to a lone next hop; those
// above are the route's (RTM_F_*).
const routeHopFlags = 0xff

// rtaNexthopID is RTA_NH_ID of include/uapi/linux/rtnetlink.h, which x/sys lacks.
const rtaNexthopID = 30

// ParseRoute reads struct rtmsg and its attributes. It is not ok for what is in
// no forwarding table: cache entries, multicast routes; nor for IPv6 routes that
// depend on the source, which have another key.
func ParseRoute(b []byte) (r Route, ok bool, err error) {
	if len(b) < unix.SizeofRtMsg {
		return r, false, fmt.Errorf("%w: route of %d bytes", ErrMalformed, len(b))
	}
	msg := rtnl.DeserializeRtMsg(b)
	zero, known := unspecified(msg.Family)
	if !known || msg.Src_len != 0 || msg.Flags&unix.RTM_F_CLONED != 0 {
		return r, false, nil
	}
	r = Route{
		Prefix: netip.PrefixFrom(zero, int(msg.Dst_len)), TOS: msg.Tos,
		Table: uint32(msg.Table), Protocol: msg.Protocol, Type: msg.Type,
		Extra: msg.Scope != unix.RT_SCOPE_UNIVERSE || msg.Flags&routeHopFlags&^hopFlags != 0,
	}
	p := routeParser{route: &r}
	if err := attrs(b[unix.SizeofRtMsg:], p.attr); err != nil {
		return r, false, fmt.Errorf("parse route: %w", err)
	}
	if r.Prefix != r.Prefix.Masked() || !r.Prefix.IsValid() {
		return r, false, fmt.Errorf("parse route: %w: prefix %s", ErrMalformed, r.Prefix)
	}
	switch {
	case p.object:
		r.Hops = nil // they are the object's, and no route can be found by them
	case p.hop != Hop{}:
		r.Hops = []Hop{p.hop}
	}
	return r, true, nil
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

// multipath reads a list of struct rtnexthop.
func (p *routeParser) multipath(b []byte) error {
	for len(b) > 0 {
		if len(b) < unix.SizeofRtNexthop {
			return fmt.Errorf("%w: %d bytes of a next hop", ErrMalformed, len(b))
		}
		length := int(binary.NativeEndian.Uint16(b))
		if length < unix.SizeofRtNexthop || length > len(b) {
			return fmt.Errorf("%w: next hop of %d in %d", ErrMalformed, length, len(b))
		}
		hop := Hop{Link: binary.NativeEndian.Uint32(b[4:])}
		// Flags of someone's making, or a weight (told less one).
		extra := b[2]&^hopFlags != 0 || b[3] != 0
		err := attrs(b[unix.SizeofRtNexthop:length], func(typ uint16, value []byte) (err error) {
			if typ == unix.RTA_GATEWAY {
				hop.Addr, err = p.addr(value)
				return err
			}
			extra = true
			return nil
		})
		if err != nil {
			return err
		}
		p.route.Extra = p.route.Extra || extra
		p.route.Hops = append(p.route.Hops, hop)
		b = b[min(aligned(length), len(b)):]
	}
	return nil
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
