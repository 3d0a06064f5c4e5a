package nl

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"
)

// told are answers of a dump: routes of every form, some twice in a row.
func told() [][]byte {
	ecmp := drop(4)
	ecmp.Type, ecmp.Hops = unix.RTN_UNICAST, []Hop{{Addr: netip.MustParseAddr("10.2.0.1"), Link: 3}, {Addr: netip.MustParseAddr("fe80::2"), Link: 4, OnLink: true}}
	one := learned(5)
	one.Source = netip.MustParseAddr("10.2.0.1")
	v6 := learned(6)
	v6.Prefix, v6.Hops = netip.MustParsePrefix("fd00::/64"), []Hop{{Addr: netip.MustParseAddr("fe80::1"), Link: 3}}
	byDefault := learned(7)
	byDefault.Prefix = netip.MustParsePrefix("0.0.0.0/0")
	var out [][]byte
	for _, r := range []Route{drop(1), drop(2), ecmp, learned(1), learned(2), one, v6, byDefault} {
		out = append(out, body(AddRoute(r)))
	}
	return out
}

// A route that is read after another is what it is by itself, however alike they
// are, and whatever comes from the socket.
func FuzzReader(f *testing.F) {
	for _, a := range told() {
		for _, b := range told() {
			f.Add(a, b, uint16(0), byte(0))
			f.Add(a, a, uint16(len(a)-1), byte(1))
			f.Add(a, b, uint16(1), byte(0xff))
		}
	}
	f.Fuzz(func(t *testing.T, a, b []byte, at uint16, change byte) {
		if len(b) > 0 {
			b[int(at)%len(b)] ^= change
		}
		var p reader
		for _, body := range [][]byte{a, b, a, a, b} {
			want, wantOK, wantErr := ParseRoute(body)
			ok, err := p.read(body)
			if (err != nil) != (wantErr != nil) || err == nil && ok != wantOK {
				t.Fatalf("%x after another: %v, %v, by itself %v, %v", body, ok, err, wantOK, wantErr)
			}
			if diff := cmp.Diff(want, p.route, sameAddr, cmpopts.EquateEmpty()); ok && err == nil && diff != "" {
				t.Fatalf("%x (-by itself +after another):\n%s", body, diff)
			}
		}
	})
}

// answerOf is one message of a datagram.
func answerOf(typ, flags uint16, seq uint32, body []byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = binary.NativeEndian.AppendUint32(b, seq)
	return append(append(b, 0, 0, 0, 0), body...)
}

// FuzzDump has a dump answered with anything. A visitor is handed routes only,
// and without an error it is so only after the dump's own end, all of it read.
func FuzzDump(f *testing.F) {
	var routes []byte
	for _, body := range told() {
		routes = append(routes, answerOf(unix.RTM_NEWROUTE, unix.NLM_F_MULTI, 1, body)...)
	}
	done := answerOf(unix.NLMSG_DONE, unix.NLM_F_MULTI, 1, make([]byte, 4))
	f.Add(append(routes, done...))
	f.Add(append(answerOf(unix.RTM_DELROUTE, 0, 0, told()[0]), done...))
	f.Add(append(answerOf(unix.RTM_NEWROUTE, unix.NLM_F_MULTI|unix.NLM_F_DUMP_INTR, 1, told()[6]), done...))
	f.Add(answerOf(unix.NLMSG_ERROR, 0, 1, append([]byte{0xff, 0xff, 0xff, 0xff}, make([]byte, 16)...)))
	f.Add(done[:18])
	f.Fuzz(func(t *testing.T, answer []byte) {
		var p reader
		whole := true
		d := dumping{seq: 1, each: func(body []byte) error {
			ok, err := p.read(body)
			if ok && err == nil && (!p.route.Prefix.IsValid() || p.route.Prefix != p.route.Prefix.Masked()) {
				t.Errorf("visited with %s", p.route.Prefix)
			}
			whole = whole && err == nil
			return err
		}}
		if err := walk(answer, d.take); err != nil {
			return
		}
		if d.done && d.result() == nil && (!whole || d.interrupted) {
			t.Error("a broken dump passes for a whole one")
		}
	})
}

// FuzzAnswers has a batch of three answered with anything: nothing but the
// answer to the last of them ends it, and none is for a message beyond it.
func FuzzAnswers(f *testing.F) {
	refusal := append([]byte{0xef, 0xff, 0xff, 0xff}, make([]byte, 16)...)
	f.Add(append(answerOf(unix.NLMSG_ERROR, 0, 1, refusal), answerOf(unix.NLMSG_ERROR, 0, 3, make([]byte, 20))...))
	f.Add(answerOf(unix.NLMSG_ERROR, unix.NLM_F_ACK_TLVS, 2, append(refusal, 8, 0, 1, 0, 'n', 'o', 0, 0)))
	f.Add(answerOf(unix.NLMSG_ERROR, 0, 4, refusal))
	f.Fuzz(func(t *testing.T, answer []byte) {
		var last bool
		a := answers{first: 1, results: make([]error, 3)}
		_ = walk(answer, func(h unix.NlMsghdr, body []byte) error {
			last = last || h.Type == unix.NLMSG_ERROR && h.Seq == 3
			return a.take(h, body)
		})
		if a.done && !last {
			t.Error("done before the last message was answered")
		}
	})
}
