package nl

import (
	"fmt"
	"net/netip"

	rtnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Address is an address of a link.
type Address struct {
	// Prefix is the address with the length of its connected subnet, not masked.
	Prefix netip.Prefix
	Link   uint32
	// Flags are IFA_F_*.
	Flags uint32
}

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

// DeleteAddress is the request to take an address off its link. IPv4 looks at the
// prefix only where IFA_ADDRESS tells it, and else removes the first that has the
// address with any.
func DeleteAddress(a Address) Message {
	addr := a.Prefix.Addr()
	msg := rtnl.NewIfAddrmsg(int(family(addr)))
	msg.Prefixlen, msg.Index = uint8(a.Prefix.Bits()), a.Link
	return request(
		unix.RTM_DELADDR, 0, msg,
		rtnl.NewRtAttr(unix.IFA_LOCAL, addr.AsSlice()), rtnl.NewRtAttr(unix.IFA_ADDRESS, addr.AsSlice()),
	)
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
