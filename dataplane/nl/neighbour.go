package nl

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	rtnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

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

// DeleteNeighbour is the request to remove an entry.
func DeleteNeighbour(n Neighbour) Message {
	return request(
		unix.RTM_DELNEIGH, 0,
		&netlink.Ndmsg{Family: family(n.Addr), Index: n.Link}, rtnl.NewRtAttr(unix.NDA_DST, n.Addr.AsSlice()),
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

// NeighboursOf lists the entries of one link, of both families.
func (c *Conn) NeighboursOf(link uint32) ([]Neighbour, error) {
	req := request(unix.RTM_GETNEIGH, 0, &netlink.Ndmsg{}, attrUint32(unix.NDA_IFINDEX, link))
	entries, err := collect(c, req, 0, func(body []byte) (Neighbour, bool, error) {
		n, ok, err := ParseNeighbour(body)
		return n, ok && n.Link == link, err
	})
	if err != nil {
		return entries, fmt.Errorf("list the neighbours of link %d: %w", link, err)
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
