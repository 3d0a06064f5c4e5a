package nl

import (
	"encoding/binary"
	"errors"
	"fmt"

	rtnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// ErrMalformed is an answer that is not what the kernel's headers promise.
var ErrMalformed = errors.New("malformed netlink message")

// Message is one request. The numbering, and NLM_F_ACK or NLM_F_DUMP, are set in
// it when it is sent.
type Message = *rtnl.NetlinkRequest

// request begins with the fixed part of its family and goes on with attributes.
func request(typ, flags int, data ...rtnl.NetlinkRequestData) Message {
	req := rtnl.NewNetlinkRequest(typ, flags)
	req.Data = data
	return req
}

func attrUint32(typ uint16, value uint32) *rtnl.Uint32Attribute {
	return &rtnl.Uint32Attribute{Type: typ, Value: value}
}

// nest makes one attribute of several.
func nest(typ int, children ...rtnl.NetlinkRequestData) *rtnl.RtAttr {
	a := rtnl.NewRtAttr(typ|unix.NLA_F_NESTED, nil)
	for _, child := range children {
		a.AddChild(child)
	}
	return a
}

// attrs hands every attribute in b to each, until it returns an error. The
// library's ParseRouteAttr panics where this says ErrMalformed, and allocates.
func attrs(b []byte, each func(typ uint16, value []byte) error) error {
	for len(b) > 0 {
		typ, value, rest, err := nextAttr(b)
		if err == nil {
			err = each(typ, value)
		}
		if err != nil {
			return err
		}
		b = rest
	}
	return nil
}

// nextAttr takes the first attribute off b, and off its type the flags for
// nesting and byte order.
func nextAttr(b []byte) (typ uint16, value, rest []byte, err error) {
	const flags = unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER
	if len(b) < unix.SizeofRtAttr {
		return 0, nil, nil, fmt.Errorf("%w: %d bytes of an attribute", ErrMalformed, len(b))
	}
	length := int(binary.NativeEndian.Uint16(b))
	if length < unix.SizeofRtAttr || length > len(b) {
		return 0, nil, nil, fmt.Errorf("%w: attribute of %d in %d", ErrMalformed, length, len(b))
	}
	typ = binary.NativeEndian.Uint16(b[2:]) &^ flags
	return typ, b[unix.SizeofRtAttr:length], b[min(aligned(length), len(b)):], nil
}

// aligned is NLMSG_ALIGN and RTA_ALIGN.
func aligned(n int) int { return (n + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1) }

// uint32Value reads an attribute of four bytes.
func uint32Value(b []byte) (uint32, error) {
	if len(b) != 4 {
		return 0, fmt.Errorf("%w: %d bytes in place of 4", ErrMalformed, len(b))
	}
	return binary.NativeEndian.Uint32(b), nil
}
