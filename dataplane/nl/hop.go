package nl

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Hop is one next hop.
type Hop struct {
	// Addr is the gateway, without a zone; invalid if there is none. Of an IPv4
	// route it may be IPv6.
	Addr netip.Addr
	// Link is the index of the outgoing link, 0 in a request that leaves the
	// choice to the kernel.
	Link uint32
	// OnLink says that the gateway is a neighbour on Link although no route tells
	// so (RTNH_F_ONLINK).
	OnLink bool
}

// hopFlags are the flags that the kernel sets by itself on a next hop. In
// rtm_flags of a route with one next hop they are the lowest byte; those above
// are the route's (RTM_F_*).
const hopFlags = unix.RTNH_F_DEAD | unix.RTNH_F_LINKDOWN | unix.RTNH_F_UNRESOLVED |
	unix.RTNH_F_OFFLOAD | unix.RTNH_F_TRAP

func (h Hop) flags() uint8 {
	if h.OnLink {
		return unix.RTNH_F_ONLINK
	}
	return 0
}

// setFlags says whether there are more that somebody asked for.
func (h *Hop) setFlags(flags uint8) (extra bool) {
	h.OnLink = flags&unix.RTNH_F_ONLINK != 0
	return flags&^(hopFlags|unix.RTNH_F_ONLINK) != 0
}

// appendNextHop adds a struct rtnexthop: length, flags, weight less one, link.
func (h Hop) appendNextHop(b []byte, family uint8) []byte {
	start := len(b)
	b = append(b, 0, 0, h.flags(), 0)
	b = binary.NativeEndian.AppendUint32(b, h.Link)
	b = h.appendGateway(b, family)
	binary.NativeEndian.PutUint16(b[start:], uint16(len(b)-start))
	return b
}

// appendGateway adds the gateway to a route of that family.
func (h Hop) appendGateway(b []byte, of uint8) []byte {
	switch {
	case !h.Addr.IsValid():
		return b
	case family(h.Addr) == of:
		return appendAddr(b, unix.RTA_GATEWAY, h.Addr)
	}
	// struct rtvia: the family and the address.
	value := binary.NativeEndian.AppendUint16(nil, uint16(family(h.Addr)))
	return appendAttr(b, unix.RTA_VIA, append(value, h.Addr.AsSlice()...))
}

// via reads a struct rtvia.
func via(b []byte) (netip.Addr, error) {
	if len(b) >= 2 {
		a, ok := netip.AddrFromSlice(b[2:])
		if ok && binary.NativeEndian.Uint16(b) == uint16(family(a)) {
			return a, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("%w: gateway of %d bytes", ErrMalformed, len(b))
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
		extra := hop.setFlags(b[2]) || b[3] != 0 // a weight, told less one
		for rest := b[unix.SizeofRtNexthop:length]; len(rest) > 0; {
			typ, value, next, err := nextAttr(rest)
			if err == nil {
				switch typ {
				case unix.RTA_GATEWAY:
					hop.Addr, err = p.addr(value)
				case unix.RTA_VIA:
					hop.Addr, err = via(value)
				default:
					extra = true
				}
			}
			if err != nil {
				return err
			}
			rest = next
		}
		p.route.Extra = p.route.Extra || extra
		p.route.Hops = append(p.route.Hops, hop)
		b = b[min(aligned(length), len(b)):]
	}
	return nil
}
