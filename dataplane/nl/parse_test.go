package nl

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	rtnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

var sameAddr = cmp.Options{
	cmpopts.EquateEmpty(),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

// body is what follows a request's header.
func body(m Message) []byte { return m.Serialize()[unix.SizeofNlMsghdr:] }

// with adds an attribute to an answer.
func with(b []byte, typ int, value []byte) []byte {
	return append(slices.Clone(b), rtnl.NewRtAttr(typ, value).Serialize()...)
}

// What is written is read back as it was, without a kernel in between.
func TestRouteRoundTrip(t *testing.T) {
	hop := func(addr string, link uint32) Hop { return Hop{Addr: netip.MustParseAddr(addr), Link: link} }
	onLink := func(h Hop) Hop { h.OnLink = true; return h }
	for name, r := range map[string]Route{
		"IPv4":           {Prefix: netip.MustParsePrefix("10.244.1.0/26"), Type: unix.RTN_UNICAST, Hops: []Hop{hop("10.2.0.11", 3)}},
		"IPv4 multipath": {Prefix: netip.MustParsePrefix("10.244.1.0/26"), Type: unix.RTN_UNICAST, Hops: []Hop{hop("10.2.0.11", 3), hop("10.3.0.11", 0)}},
		"IPv6 default":   {Prefix: netip.MustParsePrefix("::/0"), Type: unix.RTN_UNICAST, Hops: []Hop{hop("fe80::1", 3)}},
		"IPv6 multipath": {Prefix: netip.MustParsePrefix("fd00::/122"), Type: unix.RTN_UNICAST, Hops: []Hop{hop("fe80::1", 3), hop("2001:db8::1", 4)}},
		"IPv4 via IPv6":  {Prefix: netip.MustParsePrefix("10.244.1.0/26"), Type: unix.RTN_UNICAST, Hops: []Hop{hop("fe80::1", 3)}},
		"mixed":          {Prefix: netip.MustParsePrefix("10.244.1.0/26"), Type: unix.RTN_UNICAST, Hops: []Hop{hop("10.2.0.11", 3), hop("fe80::1", 3)}},
		"on-link":        {Prefix: netip.MustParsePrefix("10.244.1.0/26"), Type: unix.RTN_UNICAST, Hops: []Hop{onLink(hop("10.2.0.11", 3))}},
		"on-link, both":  {Prefix: netip.MustParsePrefix("fd00::/122"), Type: unix.RTN_UNICAST, Hops: []Hop{onLink(hop("fe80::1", 3)), onLink(hop("fe80::2", 3))}},
		"source":         {Prefix: netip.MustParsePrefix("10.244.1.0/26"), Type: unix.RTN_UNICAST, Hops: []Hop{hop("10.2.0.11", 3)}, Source: netip.MustParseAddr("10.2.0.1")},
		"IPv6 source":    {Prefix: netip.MustParsePrefix("fd00::/122"), Type: unix.RTN_UNICAST, Hops: []Hop{hop("fe80::1", 3)}, Source: netip.MustParseAddr("2001:db8::1")},
		"link only":      {Prefix: netip.MustParsePrefix("10.244.1.7/32"), Type: unix.RTN_UNICAST, Hops: []Hop{{Link: 9}}},
		"blackhole, TOS": {Prefix: netip.MustParsePrefix("10.244.1.0/26"), Type: unix.RTN_BLACKHOLE, TOS: 0x10},
	} {
		for _, table := range []uint32{unix.RT_TABLE_MAIN, 1000} {
			r.Table, r.Protocol, r.Metric = table, 170, 1700
			got, ok, err := ParseRoute(body(AddRoute(r)))
			if err != nil || !ok {
				t.Errorf("%s: %v, %v", name, ok, err)
			}
			if diff := cmp.Diff(r, got, sameAddr); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	}
}

func TestParseRouteLeavesOut(t *testing.T) {
	route := func(change func(b []byte)) []byte {
		b := body(AddRoute(drop(1)))
		change(b)
		return b
	}
	for name, b := range map[string][]byte{
		"cache entry":     route(func(b []byte) { binary.NativeEndian.PutUint32(b[8:], unix.RTM_F_CLONED) }),
		"multicast route": route(func(b []byte) { b[0] = 128 }), // RTNL_FAMILY_IPMR
		"source prefix":   route(func(b []byte) { b[2] = 64 }),
	} {
		if _, ok, err := ParseRoute(b); ok || err != nil {
			t.Errorf("%s: %v, %v, want it left out", name, ok, err)
		}
	}
}

func TestMalformed(t *testing.T) {
	good := body(AddRoute(drop(1)))
	change := func(at int, to byte) []byte {
		b := append([]byte(nil), good...)
		b[at] = to
		return b
	}
	for name, b := range map[string][]byte{
		"nothing":                 nil,
		"half a header":           good[:7],
		"half an attribute":       good[:len(good)-1],
		"length 33":               change(1, 33),
		"host bits":               change(1, 24),
		"attribute too long":      change(unix.SizeofRtMsg, 0xff),
		"attribute of no length":  change(unix.SizeofRtMsg, 0),
		"address of 16 bytes":     with(good, unix.RTA_GATEWAY, make([]byte, 16)),
		"source of 16 bytes":      with(good, unix.RTA_PREFSRC, make([]byte, 16)),
		"no IPv6 gateway":         with(good, unix.RTA_VIA, []byte{unix.AF_INET6, 0, 1, 2, 3, 4}),
		"gateway of no family":    with(good, unix.RTA_VIA, []byte{1}),
		"metric of 2 bytes":       with(good, unix.RTA_PRIORITY, make([]byte, 2)),
		"half a next hop":         with(good, unix.RTA_MULTIPATH, make([]byte, 5)),
		"next hop of no length":   with(good, unix.RTA_MULTIPATH, make([]byte, 8)),
		"cache info of two bytes": with(good, unix.RTA_CACHEINFO, make([]byte, 2)),
	} {
		if _, ok, err := ParseRoute(b); ok || !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, %v, want ErrMalformed", name, ok, err)
		}
	}
	if _, err := ParseLink(make([]byte, 3)); !errors.Is(err, ErrMalformed) {
		t.Errorf("short link: %v", err)
	}
	if _, _, err := ParseAddress(make([]byte, 3)); !errors.Is(err, ErrMalformed) {
		t.Errorf("short address: %v", err)
	}
	if _, err := parseAck(0, make([]byte, 19)); !errors.Is(err, ErrMalformed) {
		t.Errorf("short acknowledgement: %v", err)
	}
	if err := endOfDump(nil); !errors.Is(err, ErrMalformed) {
		t.Errorf("short end of a dump: %v", err)
	}
}

// An acknowledgement with the request in it, or capped, with or without words.
func TestParseAck(t *testing.T) {
	ack := func(code int32, request, tail []byte) []byte {
		b := binary.NativeEndian.AppendUint32(nil, uint32(code))
		b = binary.NativeEndian.AppendUint32(b, uint32(unix.SizeofNlMsghdr+len(request)))
		b = append(b, make([]byte, 12)...)
		return append(append(b, request...), tail...)
	}
	words := with(nil, unix.NLMSGERR_ATTR_MSG, []byte("Nexthop has invalid gateway\x00"))
	for name, test := range map[string]struct {
		flags uint16
		body  []byte
		want  string
	}{
		"done":              {0, ack(0, nil, nil), ""},
		"refused":           {0, ack(-int32(unix.EEXIST), make([]byte, 8), nil), "file exists"},
		"refused, in words": {unix.NLM_F_ACK_TLVS, ack(-int32(unix.EINVAL), make([]byte, 8), words), "Nexthop has invalid gateway: invalid argument"},
		"capped, in words":  {unix.NLM_F_ACK_TLVS | unix.NLM_F_CAPPED, ack(-int32(unix.EINVAL), nil, words), "Nexthop has invalid gateway: invalid argument"},
	} {
		result, malformed := parseAck(test.flags, test.body)
		if malformed != nil {
			t.Errorf("%s: %v", name, malformed)
		}
		var got string
		if result != nil {
			got = result.Error()
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// Nothing that comes from a socket makes a parser panic or loop, and what it
// takes for a route is one.
func FuzzParse(f *testing.F) {
	r := drop(1)
	r.Type, r.Hops = unix.RTN_UNICAST, []Hop{{Addr: netip.MustParseAddr("10.2.0.1"), Link: 3}, {Addr: netip.MustParseAddr("fe80::2"), Link: 4, OnLink: true}}
	f.Add(body(AddRoute(r)))
	f.Add(AddRoute(drop(1)).Serialize())
	f.Add(append(remove(r).Serialize(), AddRoute(drop(2)).Serialize()...))
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = walk(b, func(h unix.NlMsghdr, body []byte) error {
			_, err := parseAck(h.Flags, body)
			return err
		})
		_, _ = parseAck(unix.NLM_F_ACK_TLVS, b)
		_, _ = parseAck(unix.NLM_F_ACK_TLVS|unix.NLM_F_CAPPED, b)
		_, _ = ParseLink(b)
		if a, ok, err := ParseAddress(b); ok && (err != nil || !a.Prefix.IsValid()) {
			t.Errorf("address %s, %v", a.Prefix, err)
		}
		got, ok, err := ParseRoute(b)
		if ok && (err != nil || !got.Prefix.IsValid() || got.Prefix != got.Prefix.Masked()) {
			t.Errorf("route %s, %v", got.Prefix, err)
		}
		for _, hop := range got.Hops {
			if ok && hop.Addr.Is4() && got.Prefix.Addr().Is6() {
				t.Errorf("route %s via %s", got.Prefix, hop.Addr)
			}
		}
	})
}
