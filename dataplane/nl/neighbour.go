package nl

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	rtnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// AddAddress is the request to give a link an address, whole: with all of its
// bits as prefix, no route to a subnet and no duplicate address detection. One
// that is link-local has that scope: it is never the source of what goes further.
func AddAddress(link uint32, addr netip.Addr) Message {
	msg := rtnl.NewIfAddrmsg(int(family(addr)))
	msg.Prefixlen, msg.Index = uint8(addr.BitLen()), link
	if addr.IsLinkLocalUnicast() {
		msg.Scope = unix.RT_SCOPE_LINK
	}
	req := request(
		unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, msg,
		rtnl.NewRtAttr(unix.IFA_LOCAL, addr.AsSlice()), rtnl.NewRtAttr(unix.IFA_ADDRESS, addr.AsSlice()),
	)
	if addr.Is6() {
		req.AddData(attrUint32(unix.IFA_FLAGS, unix.IFA_F_NODAD|unix.IFA_F_NOPREFIXROUTE))
	}
	return req
}

// LinkScope makes of the request to add a route one to destinations on the link
// itself, such as those that other routes may have as gateways.
func LinkScope(m Message) Message {
	m.Data[0].(*rtnl.RtMsg).Scope = unix.RT_SCOPE_LINK
	return m
}

// Neighbour is an entry of the ARP or NDP table.
type Neighbour struct {
	Link uint32
	Addr netip.Addr
	// MAC is all zero where none is known.
	MAC MAC
	// State is NUD_PERMANENT, NUD_STALE ...
	State uint16
}

// SetNeighbour is the request to make or replace an entry.
func SetNeighbour(n Neighbour) Message {
	return request(
		unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE,
		&netlink.Ndmsg{Family: family(n.Addr), Index: n.Link, State: n.State},
		rtnl.NewRtAttr(unix.NDA_DST, n.Addr.AsSlice()), rtnl.NewRtAttr(unix.NDA_LLADDR, n.MAC[:]),
	)
}

// Neighbours lists the entries of both families.
func (c *Conn) Neighbours() ([]Neighbour, error) {
	req := request(unix.RTM_GETNEIGH, 0, &netlink.Ndmsg{})
	entries, err := collect(c, req, 0, ParseNeighbour)
	if err != nil {
		return entries, fmt.Errorf("list neighbours: %w", err)
	}
	return entries, nil
}

// ParseNeighbour reads struct ndmsg and its attributes. It is not ok for an entry
// without an address of IPv4 or IPv6.
func ParseNeighbour(b []byte) (n Neighbour, ok bool, err error) {
	if len(b) < unix.SizeofNdMsg {
		return n, false, fmt.Errorf("%w: neighbour of %d bytes", ErrMalformed, len(b))
	}
	// ndm_ifindex and ndm_state of struct ndmsg.
	n.Link = binary.NativeEndian.Uint32(b[4:])
	n.State = binary.NativeEndian.Uint16(b[8:])
	err = attrs(b[unix.SizeofNdMsg:], func(typ uint16, value []byte) error {
		switch typ {
		case unix.NDA_DST:
			n.Addr, _ = netip.AddrFromSlice(value)
		case unix.NDA_LLADDR:
			copy(n.MAC[:], value)
		}
		return nil
	})
	return n, err == nil && n.Addr.IsValid(), err
}
