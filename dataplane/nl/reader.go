package nl

import (
	"bytes"
	"net/netip"

	"golang.org/x/sys/unix"
)

// reader parses routes that follow each other in a dump. Most have the next hops
// of the one before: what says the same in all but the prefix is not parsed anew,
// which is a third of the time of a comparison.
type reader struct {
	route Route
	// last is what route was parsed from, and dst where in it the destination's
	// address begins; empty if it was not ok.
	last []byte
	dst  int
}

func (p *reader) read(b []byte) (ok bool, err error) {
	if size := p.repeats(b); size > 0 {
		a, _ := netip.AddrFromSlice(b[p.dst : p.dst+size])
		p.route.Prefix = netip.PrefixFrom(a, int(b[1]))
		return true, p.route.checkPrefix()
	}
	p.last = p.last[:0]
	if ok, err = p.route.parse(b); ok {
		p.last = append(p.last, b...)
		p.dst = destination(b)
	}
	return ok, err
}

// repeats returns the size of the destination's address if that, and its length
// in struct rtmsg, is all in which b may differ from the last, else 0.
func (p *reader) repeats(b []byte) int {
	if len(p.last) == 0 || len(b) != len(p.last) || p.dst == 0 {
		return 0
	}
	size := p.route.Prefix.Addr().BitLen() / 8
	end := p.dst + size
	if b[0] != p.last[0] || !bytes.Equal(b[2:p.dst], p.last[2:p.dst]) || !bytes.Equal(b[end:], p.last[end:]) {
		return 0
	}
	return size
}

// destination is where the address of RTA_DST begins in a route that was parsed;
// 0 if it has none, as the default route.
func destination(b []byte) int {
	for rest := b[unix.SizeofRtMsg:]; len(rest) > 0; {
		typ, _, next, err := nextAttr(rest)
		if err != nil {
			return 0
		}
		if typ == unix.RTA_DST {
			return len(b) - len(rest) + unix.SizeofRtAttr
		}
		rest = next
	}
	return 0
}
