package nl

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	rtnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Forward is an entry of a VXLAN device's forwarding table: frames to MAC go to
// the VTEP with that underlay address.
type Forward struct {
	Link uint32
	// MAC is all zero in the entry by which frames to unknown ones are flooded.
	MAC MAC
	To  netip.Addr
	// Extra says that the entry has what this struct does not tell: another port
	// or VNI, a link, a nexthop object, a state that may age.
	Extra bool
}

// SetForward is the request to make the entry of that MAC, or to replace it,
// however many VTEPs it had.
func SetForward(f Forward) Message {
	return request(
		unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE,
		&netlink.Ndmsg{Family: unix.AF_BRIDGE, Index: f.Link, State: unix.NUD_PERMANENT, Flags: unix.NTF_SELF},
		rtnl.NewRtAttr(unix.NDA_LLADDR, f.MAC[:]), rtnl.NewRtAttr(unix.NDA_DST, f.To.AsSlice()),
	)
}

// DeleteForward is the request to remove the entry of that MAC, all its VTEPs.
func DeleteForward(f Forward) Message {
	return request(
		unix.RTM_DELNEIGH, 0,
		&netlink.Ndmsg{Family: unix.AF_BRIDGE, Index: f.Link, Flags: unix.NTF_SELF},
		rtnl.NewRtAttr(unix.NDA_LLADDR, f.MAC[:]),
	)
}

// Forwards lists the entries of one VXLAN device: one of several VTEPs is told
// as often.
func (c *Conn) Forwards(link uint32) ([]Forward, error) {
	req := request(unix.RTM_GETNEIGH, 0, &netlink.Ndmsg{Family: unix.AF_BRIDGE, Index: link})
	entries, err := collect(c, req, 0, func(body []byte) (Forward, bool, error) {
		f, ok, err := ParseForward(body)
		return f, ok && f.Link == link, err
	})
	if err != nil {
		return entries, fmt.Errorf("list the forwarding entries of link %d: %w", link, err)
	}
	return entries, nil
}

// ParseForward reads struct ndmsg and its attributes. It is not ok for what is no
// entry of a device's own table.
func ParseForward(b []byte) (f Forward, ok bool, err error) {
	if len(b) < unix.SizeofNdMsg {
		return f, false, fmt.Errorf("%w: forwarding entry of %d bytes", ErrMalformed, len(b))
	}
	if b[0] != unix.AF_BRIDGE || b[10]&unix.NTF_SELF == 0 { // ndm_family, ndm_flags
		return f, false, nil
	}
	f.Link = binary.NativeEndian.Uint32(b[4:])
	state := binary.NativeEndian.Uint16(b[8:])
	f.Extra = state != unix.NUD_PERMANENT || b[10] != unix.NTF_SELF
	err = attrs(b[unix.SizeofNdMsg:], func(typ uint16, value []byte) error {
		switch typ {
		case unix.NDA_LLADDR:
			copy(f.MAC[:], value)
		case unix.NDA_DST:
			f.To, _ = netip.AddrFromSlice(value)
		case unix.NDA_CACHEINFO, unix.NDA_LINK_NETNSID:
		default:
			f.Extra = true
		}
		return nil
	})
	return f, err == nil, err
}
