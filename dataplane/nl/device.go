package nl

import (
	"errors"
	"fmt"
	"net/netip"

	rtnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Device is what there is to know of one link.
type Device struct {
	Link
	Up bool
	// Operational says that packets pass (RFC 2863 section 3.1.13, state up).
	Operational bool
	MTU         uint32
	MAC         MAC
}

// Device reads one link. Without a link of that name the error is ENODEV.
func (c *Conn) Device(name string) (Device, error) {
	answer, err := c.get(request(unix.RTM_GETLINK, 0, link(0), ifName(name)))
	if err != nil {
		return Device{}, fmt.Errorf("read link %s: %w", name, err)
	}
	return ParseDevice(answer)
}

// ParseDevice reads struct ifinfomsg and its attributes.
func ParseDevice(b []byte) (Device, error) {
	l, err := ParseLink(b)
	if err != nil {
		return Device{}, err
	}
	d := Device{Link: l, Up: rtnl.DeserializeIfInfomsg(b).Flags&unix.IFF_UP != 0}
	err = attrs(b[unix.SizeofIfInfomsg:], func(typ uint16, value []byte) (err error) {
		switch typ {
		case unix.IFLA_OPERSTATE:
			d.Operational = len(value) == 1 && value[0] == operUp
		case unix.IFLA_MTU:
			d.MTU, err = uint32Value(value)
		case unix.IFLA_ADDRESS:
			copy(d.MAC[:], value)
		}
		return err
	})
	return d, err
}

// Index is the number of the link of that name, in the socket's namespace.
// Without one the error is ENODEV. It costs no netlink exchange.
func (c *Conn) Index(name string) (uint32, error) {
	req, err := unix.NewIfreq(name)
	if err == nil {
		err = unix.IoctlIfreq(c.fd, unix.SIOCGIFINDEX, req)
	}
	if err != nil {
		return 0, fmt.Errorf("find link %s: %w", name, err)
	}
	return req.Uint32(), nil
}

// MTU of the link with that number.
func (c *Conn) MTU(index uint32) (uint32, error) {
	req, err := unix.NewIfreq("")
	if err != nil {
		return 0, err
	}
	req.SetUint32(index)
	if err := unix.IoctlIfreq(c.fd, unix.SIOCGIFNAME, req); err != nil {
		return 0, fmt.Errorf("find link %d: %w", index, err)
	}
	if err := unix.IoctlIfreq(c.fd, unix.SIOCGIFMTU, req); err != nil {
		return 0, fmt.Errorf("read the MTU of link %s: %w", req.Name(), err)
	}
	return req.Uint32(), nil
}

// Lookup asks the kernel which route it would take to an address, all next hops
// told. It is not ok if there is none, or none that leads to a link.
func (c *Conn) Lookup(dst netip.Addr) (r Route, ok bool, err error) {
	msg := &rtnl.RtMsg{RtMsg: unix.RtMsg{Family: family(dst), Dst_len: uint8(dst.BitLen()), Flags: unix.RTM_F_FIB_MATCH}}
	answer, err := c.get(request(unix.RTM_GETROUTE, 0, msg, rtnl.NewRtAttr(unix.RTA_DST, dst.AsSlice())))
	var refused *Error
	switch {
	case errors.As(err, &refused): // ENETUNREACH, EINVAL of a blackhole, EHOSTUNREACH ...
		return r, false, nil
	case err != nil:
		return r, false, fmt.Errorf("look up the route to %s: %w", dst, err)
	}
	return ParseRoute(answer)
}

// get exchanges a request for its one answer.
func (c *Conn) get(req Message) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	req.Seq = c.next()
	if err := c.send(req.Serialize()); err != nil {
		return nil, fmt.Errorf("send to the kernel: %w", err)
	}
	for {
		var answer []byte
		var refused error
		err := c.receive(func(h unix.NlMsghdr, body []byte) (malformed error) {
			switch {
			case h.Seq != req.Seq:
			case h.Type == unix.NLMSG_ERROR:
				refused, malformed = parseAck(h.Flags, body)
			default:
				answer = body
			}
			return malformed
		})
		if err != nil {
			return nil, fmt.Errorf("read from the kernel: %w", err)
		}
		if answer != nil || refused != nil {
			return answer, refused
		}
	}
}
