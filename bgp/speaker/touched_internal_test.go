package speaker

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/osrg/gobgp/v3/pkg/log"
	packet "github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

// says has a peer send an UPDATE, and the engine tell of it as it reads it.
func says(t *testing.T, j *journal, peer netip.Addr, m *packet.BGPMessage) {
	t.Helper()
	data, err := m.Serialize()
	if err == nil {
		m, err = packet.ParseBGPMessage(data)
	}
	if err != nil {
		t.Fatal(err)
	}
	u := m.Body.(*packet.BGPUpdate)
	j.Debug(msgUpdate, log.Fields{"Key": peer.String(), "nlri": u.NLRI, "withdrawals": u.WithdrawnRoutes, "attributes": u.PathAttributes})
}

func v4(s ...string) []*packet.IPAddrPrefix {
	var out []*packet.IPAddrPrefix
	for _, p := range s {
		p := netip.MustParsePrefix(p)
		out = append(out, packet.NewIPAddrPrefix(uint8(p.Bits()), p.Addr().String()))
	}
	return out
}

func v6(s string) []packet.AddrPrefixInterface {
	p := netip.MustParsePrefix(s)
	return []packet.AddrPrefixInterface{packet.NewIPv6AddrPrefix(uint8(p.Bits()), p.Addr().String())}
}

// attributesVia are of a path from an AS.
func attributesVia(hop string, as uint32, more ...packet.PathAttributeInterface) []packet.PathAttributeInterface {
	out := []packet.PathAttributeInterface{packet.NewPathAttributeOrigin(0), packet.NewPathAttributeAsPath([]packet.AsPathParamInterface{
		packet.NewAs4PathParam(packet.BGP_ASPATH_ATTR_TYPE_SEQ, []uint32{as}),
	})}
	if hop != "" {
		out = append(out, packet.NewPathAttributeNextHop(hop))
	}
	return append(out, more...)
}

func TestTouched(t *testing.T) {
	router6 := netip.MustParseAddr("fd00::1")
	hop := netip.MustParseAddr("192.0.2.77")
	const p, q = "10.1.2.64/26", "11.0.0.0/8"
	announce := func(via string, prefixes ...string) *packet.BGPMessage {
		return packet.NewBGPUpdateMessage(nil, attributesVia(via, 65001), v4(prefixes...))
	}
	withdraw := func(prefixes ...string) *packet.BGPMessage {
		return packet.NewBGPUpdateMessage(v4(prefixes...), nil, nil)
	}
	one := func(prefix string, s *said) []news { return []news{{netip.MustParsePrefix(prefix), s}} }
	for name, test := range map[string]struct {
		says func(*testing.T, *journal)
		want []news
	}{
		"announced": {
			func(t *testing.T, j *journal) { says(t, j, left, announce(hop.String(), q, p)) },
			[]news{{netip.MustParsePrefix(p), &said{left, []netip.Addr{hop}}}, {netip.MustParsePrefix(q), &said{left, []netip.Addr{hop}}}},
		},
		"withdrawn": {func(t *testing.T, j *journal) { says(t, j, left, withdraw(p)) }, one(p, &said{left, nil})},
		"announced again": {func(t *testing.T, j *journal) {
			says(t, j, left, announce(left.String(), p))
			says(t, j, left, withdraw(p))
			says(t, j, left, announce(hop.String(), p))
		}, one(p, &said{left, []netip.Addr{hop}})},
		"both in one": {
			func(t *testing.T, j *journal) {
				says(t, j, left, packet.NewBGPUpdateMessage(v4(p), attributesVia(hop.String(), 65001), v4(p)))
			},
			one(p, &said{left, nil}),
		},
		"by two": {func(t *testing.T, j *journal) {
			says(t, j, left, announce(hop.String(), p))
			says(t, j, right, withdraw(p))
			says(t, j, right, announce(hop.String(), p))
		}, one(p, nil)},
		"IPv6": {func(t *testing.T, j *journal) {
			says(t, j, router6, packet.NewBGPUpdateMessage(nil, attributesVia("", 65001, packet.NewPathAttributeMpReachNLRI("fd00::7", v6("fd01::/64"))), nil))
		}, one("fd01::/64", &said{router6, []netip.Addr{netip.MustParseAddr("fd00::7")}})},
		"IPv6 withdrawn": {func(t *testing.T, j *journal) {
			says(t, j, router6, packet.NewBGPUpdateMessage(nil, []packet.PathAttributeInterface{packet.NewPathAttributeMpUnreachNLRI(v6("fd01::/64"))}, nil))
		}, one("fd01::/64", &said{router6, nil})},
		"a family that the session is not for": {func(t *testing.T, j *journal) {
			says(t, j, left, packet.NewBGPUpdateMessage(nil, []packet.PathAttributeInterface{packet.NewPathAttributeMpUnreachNLRI(v6("fd01::/64"))}, nil))
		}, one("fd01::/64", nil)},
		"two kinds of next hop": {func(t *testing.T, j *journal) {
			mp := packet.NewPathAttributeMpReachNLRI("192.0.2.88", []packet.AddrPrefixInterface{packet.NewIPAddrPrefix(8, "11.0.0.0")})
			says(t, j, left, packet.NewBGPUpdateMessage(nil, attributesVia(hop.String(), 65001, mp), v4(p)))
		}, []news{{netip.MustParsePrefix(p), nil}, {netip.MustParsePrefix(q), nil}}},
		"our AS in its path": {func(t *testing.T, j *journal) {
			says(t, j, left, packet.NewBGPUpdateMessage(nil, attributesVia(hop.String(), testASN), v4(p)))
		}, one(p, nil)},
		"reflected": {func(t *testing.T, j *journal) {
			says(t, j, left, packet.NewBGPUpdateMessage(nil, attributesVia(hop.String(), 65001, packet.NewPathAttributeOriginatorId("192.0.2.9")), v4(p)))
		}, one(p, nil)},
		"to be asked, whatever follows": {func(t *testing.T, j *journal) {
			j.touched.ask([]netip.Prefix{netip.MustParsePrefix(p)})
			says(t, j, left, announce(hop.String(), p))
		}, one(p, nil)},
		"end of RIB": {func(t *testing.T, j *journal) { says(t, j, left, packet.NewEndOfRib(packet.RF_IPv4_UC)) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			j, _ := newTestJournal()
			test.says(t, j)
			got, all := j.touched.take()
			if d := cmp.Diff(test.want, got, values, cmp.AllowUnexported(news{}, said{}), cmpopts.EquateEmpty()); d != "" || all {
				t.Errorf("all %t, -want +got:\n%s", all, d)
			}
			if got, all := j.touched.take(); len(got) > 0 || all {
				t.Errorf("taken twice: %v, %t", got, all)
			}
		})
	}
}

// What cannot be told by prefix is told as all.
func TestTouchedAll(t *testing.T) {
	const idle, active, open, up = packet.BGP_FSM_IDLE, packet.BGP_FSM_ACTIVE, packet.BGP_FSM_OPENSENT, packet.BGP_FSM_ESTABLISHED
	establish := func(j *journal) { j.Debug(msgStateChanged, state(packet.BGP_FSM_OPENCONFIRM, up, "")) }
	for name, test := range map[string]struct {
		says func(*journal)
		all  bool
	}{
		"a session begins": {establish, false},
		"a session ends": {func(j *journal) {
			establish(j)
			j.Debug(msgStateChanged, state(up, idle, "read-failed"))
		}, true},
		"the restart time of a peer is over": {func(j *journal) {
			establish(j)
			j.Debug(msgStateChanged, state(up, idle, "graceful-restart"))
			j.touched.take()
			j.Debug(msgStateChanged, state(active, idle, "restart-timer-expired"))
		}, true},
		"a first handshake fails": {func(j *journal) { j.Debug(msgStateChanged, state(open, idle, "read-failed")) }, false},
		"stale paths go":          {func(j *journal) { j.Debug(msgDropsStale, fields(nil)) }, true},
		"as many as are noted":    {func(j *journal) { j.touched.ask(make([]netip.Prefix, maxNews)) }, false},
		"too many":                {func(j *journal) { j.touched.ask(make([]netip.Prefix, maxNews+1)) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			j, _ := newTestJournal()
			test.says(j)
			if _, all := j.touched.take(); all != test.all {
				t.Errorf("all is %t", all)
			}
		})
	}
}
