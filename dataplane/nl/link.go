package nl

import (
	"fmt"
	"net/netip"
	"strings"

	rtnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Link is a network interface.
type Link struct {
	Index uint32
	Name  string
}

// Links lists all links.
func (c *Conn) Links() ([]Link, error) {
	req := request(unix.RTM_GETLINK, 0, link(0))
	links, err := collect(c, req, 0, func(body []byte) (Link, bool, error) {
		l, err := ParseLink(body)
		return l, err == nil, err
	})
	if err != nil {
		return links, fmt.Errorf("list links: %w", err)
	}
	return links, nil
}

// ParseLink reads struct ifinfomsg and its attributes.
func ParseLink(b []byte) (Link, error) {
	if len(b) < unix.SizeofIfInfomsg {
		return Link{}, fmt.Errorf("%w: link of %d bytes", ErrMalformed, len(b))
	}
	l := Link{Index: uint32(rtnl.DeserializeIfInfomsg(b).Index)}
	err := attrs(b[unix.SizeofIfInfomsg:], func(typ uint16, value []byte) error {
		if typ == unix.IFLA_IFNAME {
			l.Name = strings.TrimRight(string(value), "\x00")
		}
		return nil
	})
	return l, err
}

// Address is an address of a link.
type Address struct {
	// Prefix is the address with the length of its connected subnet, not masked.
	Prefix netip.Prefix
	Link   uint32
	// Flags are IFA_F_*.
	Flags uint32
}

// Addresses lists the addresses of both families.
func (c *Conn) Addresses() ([]Address, error) {
	return c.addresses()
}

// AddressesIn lists those of the network namespace that the socket's has this
// number for. It is not entered: that would take CAP_SYS_ADMIN.
func (c *Conn) AddressesIn(namespace int32) ([]Address, error) {
	return c.addresses(attrUint32(unix.IFA_TARGET_NETNSID, uint32(namespace)))
}

func (c *Conn) addresses(of ...rtnl.NetlinkRequestData) ([]Address, error) {
	req := request(unix.RTM_GETADDR, 0, rtnl.NewIfAddrmsg(unix.AF_UNSPEC))
	req.Data = append(req.Data, of...)
	addrs, err := collect(c, req, 0, ParseAddress)
	if err != nil {
		return addrs, fmt.Errorf("list addresses: %w", err)
	}
	return addrs, nil
}

// ParseAddress reads struct ifaddrmsg and its attributes. It is not ok for a
// family that is neither IPv4 nor IPv6.
func ParseAddress(b []byte) (a Address, ok bool, err error) {
	if len(b) < unix.SizeofIfAddrmsg {
		return a, false, fmt.Errorf("%w: address of %d bytes", ErrMalformed, len(b))
	}
	msg := rtnl.DeserializeIfAddrmsg(b)
	a.Flags, a.Link = uint32(msg.Flags), msg.Index
	if _, known := unspecified(msg.Family); !known {
		return a, false, nil
	}
	var local, address netip.Addr
	err = attrs(b[unix.SizeofIfAddrmsg:], func(typ uint16, value []byte) (err error) {
		switch typ {
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(value)
		case unix.IFA_ADDRESS:
			address, _ = netip.AddrFromSlice(value)
		case unix.IFA_FLAGS: // all of them: the header has room for eight bits
			a.Flags, err = uint32Value(value)
		}
		return err
	})
	if !local.IsValid() {
		local = address // on a point-to-point link IFA_ADDRESS is the other end's
	}
	a.Prefix = netip.PrefixFrom(local, int(msg.Prefixlen))
	if err == nil && !a.Prefix.IsValid() {
		err = fmt.Errorf("parse address: %w: %s/%d", ErrMalformed, local, msg.Prefixlen)
	}
	return a, err == nil, err
}
