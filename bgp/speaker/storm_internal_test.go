package speaker

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	packet "github.com/osrg/gobgp/v3/pkg/packet/bgp"

	"fairlead.dev/bgp"
)

// sender is a peer that the engine dials, and that sends what a test wants.
type sender struct {
	t    *testing.T
	peer bgp.Peer
	conn net.Conn
}

func (s *sender) send(messages ...*packet.BGPMessage) {
	s.t.Helper()
	for _, m := range messages {
		data, err := m.Serialize()
		if err == nil {
			_, err = s.conn.Write(data)
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

// newSenders are peers with a session each. We accept the same from all.
func newSenders(t *testing.T, s *Speaker, c bgp.Config, addresses ...string) []*sender {
	t.Helper()
	var out []*sender
	var listeners []net.Listener
	for i, a := range addresses {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", net.JoinHostPort(a, "0"))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if err := l.(*net.TCPListener).SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		p := bgp.Peer{
			Address: netip.MustParseAddr(a), Port: uint16(l.Addr().(*net.TCPAddr).Port), ASN: 65001 + uint32(i), ConnectRetry: time.Second,
			Accept: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		}
		c.Peers, listeners, out = append(c.Peers, p), append(listeners, l), append(out, &sender{t: t, peer: p})
	}
	if err := s.Apply(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for i, l := range listeners {
		conn, err := l.Accept()
		if err == nil {
			out[i].conn = conn
			t.Cleanup(func() { _ = conn.Close() })
			err = greet(conn, out[i].peer.ASN)
		}
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.Copy(io.Discard, conn) }()
		out[i].send(packet.NewBGPKeepAliveMessage())
	}
	return out
}

// fence is a prefix that tells by its next hop how far the engine has read.
const fence = "10.255.255.255/32"

// random is an UPDATE of some of few prefixes: of those that both peers send, those
// that one alone does, one that is our own, and one that is not accepted.
func (s *sender) random(r *rand.Rand) *packet.BGPMessage {
	own := s.peer.Address.As4()[3]
	all := []string{"10.1.0.0/16", "10.1.0.0/24", "10.1.1.0/24", fmt.Sprintf("10.2.%d.0/24", own), fmt.Sprintf("10.3.%d.0/24", own), "10.64.0.0/24", "11.0.0.0/8"}
	some := func() []*packet.IPAddrPrefix {
		r.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
		return v4(all[:1+r.IntN(3)]...)
	}
	as := s.peer.ASN
	var more []packet.PathAttributeInterface
	var withdrawn []*packet.IPAddrPrefix
	switch r.IntN(7) {
	case 0:
		return packet.NewBGPUpdateMessage(some(), nil, nil)
	case 1:
		withdrawn = some()
	case 3:
		as = testASN // our own: a loop
	case 2:
		more = append(more, packet.NewPathAttributeMultiExitDisc(uint32(r.IntN(3))))
	}
	return packet.NewBGPUpdateMessage(withdrawn, attributesVia(fmt.Sprintf("192.0.2.%d", 1+r.IntN(3)), as, more...), some())
}

// Whatever peers send, what is known of it without asking the engine is what the
// engine has.
func TestStorm(t *testing.T) {
	const rounds, updates = 60, 12
	s := &Speaker{
		opts: Options{Logger: slog.New(slog.DiscardHandler)}, changes: make(chan struct{}, 1), gate: make(chan struct{}, 1),
		refused: map[netip.Addr]refusal{},
	}
	peers := newSenders(t, s, bgp.Config{
		Global:   bgp.Global{ASN: testASN, RouterID: left, ListenPort: -1, RestartTime: time.Minute},
		Announce: []netip.Prefix{netip.MustParsePrefix("10.64.0.0/24")},
	}, "127.0.0.2", "127.0.0.3")
	t.Cleanup(func() { _ = s.Leave(context.Background()) })
	// So many routes stay that to list all of them is never the cheaper way.
	var stay []string
	for i := range 100 {
		stay = append(stay, fmt.Sprintf("10.5.%d.0/24", i))
	}
	hop := netip.AddrFrom4([4]byte{192, 0, 2, 254})
	for _, p := range peers {
		p.send(packet.NewBGPUpdateMessage(nil, attributesVia(hop.String(), p.peer.ASN), v4(append(stay, fence)...)))
	}
	awaitHop(t, s, hop)
	listed := time.Now().Add(time.Hour)
	s.engine.view.listed = listed
	r := rand.New(rand.NewPCG(3, uint64(time.Now().UnixNano())))
	for round := range rounds {
		for range updates {
			p := peers[r.IntN(len(peers))]
			p.send(p.random(r))
		}
		for _, p := range peers {
			hop := fmt.Sprintf("192.0.3.%d", round)
			p.send(packet.NewBGPUpdateMessage(nil, attributesVia(hop, p.peer.ASN), v4(fence)))
		}
		awaitHop(t, s, netip.AddrFrom4([4]byte{192, 0, 3, byte(round)}))
		// The engine may have told of the fence before all news that came before it
		// were taken.
		if _, err := s.Routes(); err != nil {
			t.Fatal(err)
		}
		compareToEngine(t, s.engine)
	}
	if !s.engine.view.listed.Equal(listed) {
		t.Error("the whole Loc-RIB was listed")
	}
}

// awaitHop looks, over and over, until the fence of both peers is read.
func awaitHop(t *testing.T, s *Speaker, hop netip.Addr) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		routes, err := s.Routes()
		if err != nil {
			t.Fatal(err)
		}
		i, found := find(routes, netip.MustParsePrefix(fence))
		if found && len(routes[i].Peers) == 2 && len(routes[i].NextHops) == 1 && routes[i].NextHops[0] == hop {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no route to %s by %s among %+v", fence, hop, routes)
		}
	}
}

func compareToEngine(t *testing.T, e *engine) {
	t.Helper()
	all, err := e.read(t.Context(), e.newReader(t.Context()), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := newTable()
	want.patch(all)
	if d := cmp.Diff(want.routes, e.view.routes, values); d != "" {
		t.Fatalf("-engine's +known:\n%s", d)
	}
	got := e.view.accepted()
	for name, n := range want.accepted() {
		if got[name] != n {
			t.Fatalf("%d paths of %s are counted, the engine has %d", got[name], name, n)
		}
	}
}
