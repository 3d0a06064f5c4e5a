package speaker

import (
	"context"
	"net/netip"
	"time"

	api "github.com/osrg/gobgp/v3/api"

	"fairlead.dev/bgp"
)

const (
	// deferralTime in seconds is how long a restarted speaker may wait for its
	// peers' routes before it sends its own (RFC 4724 section 4.1). Ours depend
	// on nobody's, so the engine's least; its default is 360.
	deferralTime = 1
	// idleHoldTime in seconds is the pause after a reset; the default is 30.
	idleHoldTime = 1
	// multihopTTL is what the system sends anything else with.
	multihopTTL = 64
)

// family is the unicast one of an address.
func family(a netip.Addr) *api.Family {
	if a.Is4() {
		return &api.Family{Afi: api.Family_AFI_IP, Safi: api.Family_SAFI_UNICAST}
	}
	return &api.Family{Afi: api.Family_AFI_IP6, Safi: api.Family_SAFI_UNICAST}
}

// renderPeer is the engine's form of a peer. restarting sets the Restart State
// and the Forwarding State bit, which are one in GoBGP.
func renderPeer(p bgp.Peer, restartTime time.Duration, restarting bool) *api.Peer {
	graceful := restartTime > 0
	return &api.Peer{
		Conf: &api.PeerConf{
			NeighborAddress: p.Address.String(),
			PeerAsn:         p.ASN,
			AuthPassword:    p.Password,
			AllowOwnAsn:     uint32(p.AllowLocalAS),
		},
		Transport:    &api.Transport{RemotePort: uint32(p.Port), PassiveMode: p.Passive},
		EbgpMultihop: &api.EbgpMultihop{Enabled: p.Multihop, MultihopTtl: multihopTTL},
		Timers: &api.Timers{Config: &api.TimersConfig{
			HoldTime:               wholeSeconds(p.HoldTime),
			KeepaliveInterval:      wholeSeconds(p.Keepalive),
			ConnectRetry:           wholeSeconds(p.ConnectRetry),
			IdleHoldTimeAfterReset: idleHoldTime,
		}},
		GracefulRestart: &api.GracefulRestart{
			Enabled:         graceful,
			RestartTime:     uint32(wholeSeconds(restartTime)),
			DeferralTime:    deferralTime,
			LocalRestarting: graceful && restarting,
		},
		AfiSafis: []*api.AfiSafi{{
			Config:            &api.AfiSafiConfig{Family: family(p.Address), Enabled: true},
			MpGracefulRestart: &api.MpGracefulRestart{Config: &api.MpGracefulRestartConfig{Enabled: graceful}},
		}},
	}
}

func wholeSeconds(d time.Duration) uint64 { return uint64(d / time.Second) }

func (e *engine) add(ctx context.Context, p bgp.Peer, restarting bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e.journal.open(p, restarting)
	err := e.addPeer(ctx, p, restarting)
	if err != nil {
		e.journal.close(p.Address)
	}
	return err
}

func (e *engine) addPeer(ctx context.Context, p bgp.Peer, restarting bool) error {
	return e.server.AddPeer(ctx, &api.AddPeerRequest{Peer: renderPeer(p, e.have.Global.RestartTime, restarting)})
}

// remove ends the session with Cease. GoBGP forgets to take the MD5 key of a
// deleted peer off the listener, which would then never again accept the
// address without that key; a change of the password does take it off.
func (e *engine) remove(ctx context.Context, a netip.Addr) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if p, ok := e.peer(a); ok && p.Password != "" {
		p.Password = ""
		if err := e.updatePeer(ctx, p); err != nil {
			return err
		}
	}
	err := e.server.DeletePeer(ctx, &api.DeletePeerRequest{Address: a.String()})
	e.journal.close(a)
	delete(e.opened, a)
	return err
}

// waits says that a change is of timers only and the session is up. New timers
// would count for the next session anyway, and GoBGP's UpdatePeer makes it
// forget that the peer of this one can restart gracefully.
func (e *engine) waits(u bgp.PeerUpdate) bool {
	return !u.Reset && !u.Refilter && e.journal.established(u.Peer.Address)
}

// adjust changes a peer without touching its session, and returns what it is now.
func (e *engine) adjust(ctx context.Context, u bgp.PeerUpdate) (bgp.Peer, error) {
	now, _ := e.peer(u.Peer.Address)
	if u.Refilter {
		if err := e.refilter(ctx, u.Peer.Address); err != nil {
			return now, err
		}
		now.Accept = u.Peer.Accept
	}
	if e.journal.established(u.Peer.Address) {
		return now, nil
	}
	return u.Peer, e.updatePeer(ctx, u.Peer)
}

func (e *engine) updatePeer(ctx context.Context, p bgp.Peer) error {
	_, err := e.server.UpdatePeer(ctx, &api.UpdatePeerRequest{Peer: renderPeer(p, e.have.Global.RestartTime, false)})
	return err
}
