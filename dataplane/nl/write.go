package nl

import (
	"encoding/binary"
	"net/netip"

	rtnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Verb is what is asked of the kernel with a route.
type Verb uint8

const (
	// Add makes a route for a prefix and metric that has none yet.
	Add Verb = iota
	// Replace puts a route in the place of the first one of its prefix and metric,
	// whatever the protocol of that one, or makes it.
	Replace
	// Delete removes a route, all of its next hops.
	Delete
)

// header is the message's type and flags, and the route's scope.
func (v Verb) header() (typ, flags uint16, scope uint8) {
	const write = unix.NLM_F_REQUEST | unix.NLM_F_CREATE
	switch v {
	case Replace:
		return unix.RTM_NEWROUTE, write | unix.NLM_F_REPLACE, unix.RT_SCOPE_UNIVERSE
	case Delete:
		return unix.RTM_DELROUTE, unix.NLM_F_REQUEST, unix.RT_SCOPE_NOWHERE
	}
	return unix.RTM_NEWROUTE, write | unix.NLM_F_EXCL, unix.RT_SCOPE_UNIVERSE
}

// AddRoute is the request to add r.
func AddRoute(r Route) Message {
	typ, flags, scope := Add.header()
	req := request(int(typ), int(flags), &rtnl.RtMsg{RtMsg: r.header(scope)})
	req.RawData = r.appendAttrs(nil)
	return req
}

// LinkScope makes of the request to add a route one to destinations on the link
// itself, such as those that other routes may have as gateways.
func LinkScope(m Message) Message {
	m.Data[0].(*rtnl.RtMsg).Scope = unix.RT_SCOPE_LINK
	return m
}

// Append adds a request about r to b, for Send. It is written by hand and not by
// the library's objects, of which a route needs a dozen: it is the one request
// that is made by the hundred thousand.
func (v Verb) Append(b []byte, r *Route) []byte {
	typ, flags, scope := v.header()
	b = append(b, 0, 0, 0, 0) // the length, by Send
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0) // number, by Send, and port
	if v == Delete && r.Family() == unix.AF_INET6 {
		return r.appendWhole(b, scope)
	}
	return r.appendAttrs(appendRtMsg(b, r.header(scope)))
}

// appendWhole names an IPv6 route so that all of it is removed: with a gateway
// named, that one hop of several would be; with only the link, the whole route.
func (r *Route) appendWhole(b []byte, scope uint8) []byte {
	whole := *r
	whole.Hops = nil
	if len(r.Hops) > 0 {
		whole.Hops = []Hop{{Link: r.Hops[0].Link}}
	}
	return whole.appendAttrs(appendRtMsg(b, whole.header(scope)))
}

// header is struct rtmsg.
func (r *Route) header(scope uint8) unix.RtMsg {
	msg := unix.RtMsg{
		Family: r.Family(), Dst_len: uint8(r.Prefix.Bits()), Tos: r.TOS,
		Table: tableByte(r.Table), Protocol: r.Protocol, Scope: scope, Type: r.Type,
	}
	if len(r.Hops) == 1 {
		msg.Flags = uint32(r.Hops[0].flags())
	}
	return msg
}

func appendRtMsg(b []byte, m unix.RtMsg) []byte {
	b = append(b, m.Family, m.Dst_len, m.Src_len, m.Tos, m.Table, m.Protocol, m.Scope, m.Type)
	return binary.NativeEndian.AppendUint32(b, m.Flags)
}

func (r *Route) appendAttrs(b []byte) []byte {
	b = appendAddr(b, unix.RTA_DST, r.Prefix.Addr())
	if r.Table > 0xff {
		b = appendAttrUint32(b, unix.RTA_TABLE, r.Table)
	}
	b = appendAttrUint32(b, unix.RTA_PRIORITY, r.Metric)
	if r.Source.IsValid() {
		b = appendAddr(b, unix.RTA_PREFSRC, r.Source)
	}
	switch len(r.Hops) {
	case 0:
	case 1:
		b = r.Hops[0].appendGateway(b, r.Family())
		if link := r.Hops[0].Link; link != 0 {
			b = appendAttrUint32(b, unix.RTA_OIF, link)
		}
	default:
		start := len(b)
		b = appendAttr(b, unix.RTA_MULTIPATH, nil)
		for _, hop := range r.Hops {
			b = hop.appendNextHop(b, r.Family())
		}
		binary.NativeEndian.PutUint16(b[start:], uint16(len(b)-start))
	}
	return b
}

// appendAttr adds a struct rtattr, padded to whole words.
func appendAttr(b []byte, typ uint16, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(value)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = append(b, value...)
	return append(b, make([]byte, aligned(len(value))-len(value))...)
}

func appendAddr(b []byte, typ uint16, a netip.Addr) []byte {
	if a.Is4() {
		value := a.As4()
		return appendAttr(b, typ, value[:])
	}
	value := a.As16()
	return appendAttr(b, typ, value[:])
}

func appendAttrUint32(b []byte, typ uint16, value uint32) []byte {
	b = binary.NativeEndian.AppendUint16(b, unix.SizeofRtAttr+4)
	b = binary.NativeEndian.AppendUint16(b, typ)
	return binary.NativeEndian.AppendUint32(b, value)
}

// tableByte is rtm_table: the number where it fits, else RTA_TABLE says it.
func tableByte(table uint32) uint8 {
	if table > 0xff {
		return unix.RT_TABLE_COMPAT
	}
	return uint8(table)
}
