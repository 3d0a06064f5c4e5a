package speaker_test

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	packet "github.com/osrg/gobgp/v3/pkg/packet/bgp"

	"fairlead.dev/bgp"
	"fairlead.dev/dataplane/nstest"
)

// graceful is the capability of a peer that may be away for a minute, for a family.
func graceful(f packet.RouteFamily, restarted, forwards bool) packet.ParameterCapabilityInterface {
	return packet.NewCapGracefulRestart(restarted, false, 60, []*packet.CapGracefulRestartTuple{packet.NewCapGracefulRestartTuple(f, forwards)})
}

// TestForgot has peers that come back and say different things of their routes of
// before, which are kept for as long as that allows. None sends End-of-RIB.
func TestForgot(t *testing.T) {
	t.Parallel()
	type capabilities []packet.ParameterCapabilityInterface
	const v4, v6 = packet.RF_IPv4_UC, packet.RF_IPv6_UC
	tests := map[string]struct {
		back capabilities
		kept bool
	}{
		"127.0.9.1": {capabilities{graceful(v4, true, true)}, true},
		"127.0.9.2": {capabilities{graceful(v4, false, false)}, true}, // only the connection was lost
		"127.0.9.3": {capabilities{graceful(v4, true, false)}, false},
		"127.0.9.4": {capabilities{graceful(v6, true, true)}, false},
		"127.0.9.5": {nil, false},
	}
	ns := nodeNS(t)
	c := config()
	c.Global.ListenPort = -1 // the peers listen there
	var peers []*returner
	want := map[string]bool{}
	for a, test := range tests {
		p := newReturner(t, ns, a)
		c.Peers, peers = append(c.Peers, p.peer), append(peers, p)
		if test.kept {
			want[p.prefix] = true
		}
	}
	s := startSpeaker(t, ns)
	s.apply(c)
	for _, p := range peers {
		p.connect(graceful(v4, false, true))
		p.announce()
	}
	s.await(later, "all routes", func(a answer) bool { return len(a.Routes) == len(peers) })
	for _, p := range peers {
		_ = p.conn.Close()
	}
	s.await(later, "all routes stale", func(a answer) bool {
		return len(a.Routes) == len(peers) && !slices.ContainsFunc(a.Routes, func(r bgp.Route) bool { return !r.Stale })
	})
	for _, p := range peers {
		p.connect(tests[p.peer.Address.String()].back...)
	}
	s.established(later)
	s.await(soon, "what each OPEN allows", func(a answer) bool {
		got := map[string]bool{}
		for _, r := range a.Routes {
			got[r.Prefix.String()] = true
		}
		return maps.Equal(got, want)
	})
}

// returner is a peer that the speaker dials, again and again.
type returner struct {
	t        *testing.T
	peer     bgp.Peer
	prefix   string
	listener *net.TCPListener
	conn     net.Conn
}

func newReturner(t *testing.T, ns nstest.NS, address string) *returner {
	t.Helper()
	r := &returner{t: t, peer: peer(netip.MustParseAddr(address))}
	r.prefix = fmt.Sprintf("10.200.%d.0/24", r.peer.Address.As4()[3])
	r.peer.HoldTime, r.peer.Keepalive = bgp.DefaultHoldTime, bgp.DefaultHoldTime/3
	err := ns.Inside(func() (err error) {
		r.listener, err = net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(netip.AddrPortFrom(r.peer.Address, 179)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.listener.Close() })
	if err := r.listener.SetDeadline(time.Now().Add(2 * later)); err != nil {
		t.Fatal(err)
	}
	return r
}

// connect is the next session.
func (r *returner) connect(more ...packet.ParameterCapabilityInterface) {
	r.t.Helper()
	conn, err := r.listener.Accept()
	if err != nil {
		r.t.Fatal(err)
	}
	r.conn = conn
	r.t.Cleanup(func() { _ = conn.Close() })
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	all := append([]packet.ParameterCapabilityInterface{
		packet.NewCapMultiProtocol(packet.RF_IPv4_UC), packet.NewCapFourOctetASNumber(peerASN),
	}, more...)
	r.send(packet.NewBGPOpenMessage(packet.AS_TRANS, uint16(r.peer.HoldTime/time.Second), "192.0.2.1",
		[]packet.OptionParameterInterface{packet.NewOptionParameterCapability(all)}), packet.NewBGPKeepAliveMessage())
}

func (r *returner) announce() {
	r.t.Helper()
	p := netip.MustParsePrefix(r.prefix)
	r.send(packet.NewBGPUpdateMessage(nil, []packet.PathAttributeInterface{
		packet.NewPathAttributeOrigin(0), packet.NewPathAttributeNextHop("192.0.2.9"),
		packet.NewPathAttributeAsPath([]packet.AsPathParamInterface{packet.NewAs4PathParam(packet.BGP_ASPATH_ATTR_TYPE_SEQ, []uint32{peerASN})}),
	}, []*packet.IPAddrPrefix{packet.NewIPAddrPrefix(uint8(p.Bits()), p.Addr().String())}))
}

func (r *returner) send(messages ...*packet.BGPMessage) {
	r.t.Helper()
	for _, m := range messages {
		data, err := m.Serialize()
		if err == nil {
			_, err = r.conn.Write(data)
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
}
