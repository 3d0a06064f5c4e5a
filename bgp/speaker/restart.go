package speaker

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	packet "github.com/osrg/gobgp/v3/pkg/packet/bgp"

	"fairlead.dev/bgp"
)

// A peer keeps our routes through our restart only if our OPEN says that we have
// restarted and still forward (RFC 4724 section 4.2). GoBGP takes that from every
// peer as soon as all that have sent it an OPEN have sent End-of-RIB too: the OPEN to
// a second ToR, made a moment later, is without it, and the ToR deletes our routes.
//
// So the engine gets one neighbour more, of our own making: the holdout, which sends
// an OPEN and then no End-of-RIB ever. GoBGP goes on waiting for it, and ends the
// restart of each peer alone, deferralTime after its session is up.
//
// That is too late for what we announce: until then our routes are stale for the
// peer, and were we to end once more it would have to delete them (RFC 4724 section
// 4.2, of consecutive restarts). They depend on nobody's, so there is nothing to wait
// for: resume has them sent as soon as the session is up.

// resume sends a peer what we announce, and End-of-RIB.
func (e *engine) resume(a netip.Addr) {
	if a == holdout() {
		return
	}
	request := &api.ResetPeerRequest{Address: a.String(), Soft: true, Direction: api.ResetPeerRequest_OUT}
	if err := e.server.ResetPeer(context.Background(), request); err != nil {
		e.journal.logger.Warn("our routes of before the restart are confirmed late", "peer", a, "err", err)
	}
}

// holdout is that neighbour's address, which any Linux has as its own, and router ID.
func holdout() netip.Addr { return netip.AddrFrom4([4]byte{127, 71, 66, 80}) }

// holdoutTime bounds its handshake. An engine that does not listen has to dial,
// and waits up to two seconds before it does.
const holdoutTime = 5 * time.Second

// holdOut returns when the engine waits for the holdout. It comes before any peer.
func (e *engine) holdOut(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, holdoutTime)
	defer cancel()
	reach := e.dialled
	if e.have.Global.ListenPort == -1 {
		reach = e.dials
	}
	conn, err := reach(ctx, bgp.Peer{Address: holdout(), ASN: e.have.Global.ASN})
	if err != nil {
		return fmt.Errorf("connect %s with the engine: %w", holdout(), err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if err := greet(conn, e.have.Global.ASN); err != nil {
		return fmt.Errorf("handshake of %s with the engine: %w", holdout(), err)
	}
	// It needs no connection any more: what it has said counts for good.
	return e.server.DisablePeer(ctx, &api.DisablePeerRequest{Address: holdout().String()})
}

// dialled adds a peer that connects to the engine, and returns its end.
func (e *engine) dialled(ctx context.Context, p bgp.Peer) (net.Conn, error) {
	p.Passive = true
	if err := e.addPeer(ctx, p, true); err != nil {
		return nil, err
	}
	if err := e.awaitActive(ctx, p.Address); err != nil {
		return nil, err
	}
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(p.Address, 0))}
	return d.DialContext(ctx, "tcp4", netip.AddrPortFrom(p.Address, uint16(e.have.Global.ListenPort)).String())
}

// dials adds a peer to which the engine connects, and returns the peer's end.
func (e *engine) dials(ctx context.Context, p bgp.Peer) (net.Conn, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp4", netip.AddrPortFrom(p.Address, 0).String())
	if err != nil {
		return nil, err
	}
	defer l.Close()
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	p.Port = uint16(l.Addr().(*net.TCPAddr).Port)
	if err := e.addPeer(ctx, p, true); err != nil {
		return nil, err
	}
	return l.Accept()
}

// awaitActive returns when the engine accepts connections of a peer.
func (e *engine) awaitActive(ctx context.Context, a netip.Addr) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for state := api.PeerState_UNKNOWN; ; {
		err := e.server.ListPeer(ctx, &api.ListPeerRequest{Address: a.String()}, func(p *api.Peer) { state = p.State.SessionState })
		if err != nil || state == api.PeerState_ACTIVE {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// greet is the holdout's half of a handshake, up to where the engine has read our
// OPEN: it answers with KEEPALIVE then (RFC 4271 section 8.2.2).
func greet(conn io.ReadWriter, asn uint32) error {
	v4 := []*packet.CapGracefulRestartTuple{packet.NewCapGracefulRestartTuple(packet.RF_IPv4_UC, false)}
	open, err := packet.NewBGPOpenMessage(packet.AS_TRANS, uint16(bgp.DefaultHoldTime/time.Second), holdout().String(), []packet.OptionParameterInterface{
		packet.NewOptionParameterCapability([]packet.ParameterCapabilityInterface{
			packet.NewCapMultiProtocol(packet.RF_IPv4_UC),
			packet.NewCapFourOctetASNumber(asn),
			packet.NewCapGracefulRestart(false, false, 0, v4),
		}),
	}).Serialize()
	if err != nil {
		return err
	}
	if _, err := conn.Write(open); err != nil {
		return err
	}
	for {
		var h packet.BGPHeader
		data := make([]byte, packet.BGP_HEADER_LENGTH)
		if _, err := io.ReadFull(conn, data); err != nil {
			return err
		}
		if err := h.DecodeFromBytes(data); err != nil {
			return err
		}
		if h.Type == packet.BGP_MSG_KEEPALIVE {
			return nil
		}
		if _, err := io.CopyN(io.Discard, conn, int64(h.Len)-packet.BGP_HEADER_LENGTH); err != nil {
			return err
		}
	}
}
