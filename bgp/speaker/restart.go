package speaker

import (
	"context"
	"net/netip"
	"slices"
	"time"

	api "github.com/osrg/gobgp/v3/api"

	"fairlead.dev/bgp"
)

// renew gives the restart flag back to peers that have not been up since the
// engine started. GoBGP takes it from every peer as soon as the first ones have
// sent their end-of-RIB; a second ToR, whose session comes up a moment later,
// would read in our OPEN that our routes did not survive, and delete them
// (RFC 4724 section 4.2). The flag can only be set on a new peer, so one that
// is not connected yet is replaced. One in the middle of its handshake has sent
// its OPEN already, with the flag; but should that connection fail, as one of two
// that collide does, the next OPEN would be without it. So it is looked at again.
//
// What is left is the moment between the engine's OpenSent and its making of the
// OPEN: a flag that is taken then is missing in it, and nothing shows that.
func (s *Speaker) renew(ctx context.Context, e *engine) {
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.journal.synced:
		case <-again:
		}
		again = nil
		if s.enter(ctx) != nil {
			return
		}
		if s.renewPeers(ctx, e) {
			again = time.After(handshake)
		}
		s.leave()
	}
}

// handshake is about as long as the handshake of a session takes, and much less
// than the pause before the next one.
const handshake = 20 * time.Millisecond

// renewPeers says whether a peer is in the middle of its handshake.
func (s *Speaker) renewPeers(ctx context.Context, e *engine) (between bool) {
	if !e.restarting() {
		return false
	}
	early := e.unflagged(ctx)
	for _, p := range slices.Clone(e.have.Peers) {
		unconnected, found := early[p.Address.String()]
		if !found || !e.journal.restarting(p.Address) {
			continue
		}
		if !unconnected {
			between = true
			continue
		}
		err := e.remove(ctx, p.Address)
		if err == nil {
			err = e.add(ctx, p, true)
		}
		if err != nil {
			s.refused[p.Address] = refusal{p, err}
			e.have = bgp.Ops{Global: e.have.Global, Delete: []netip.Addr{p.Address}}.Patch(e.have)
			s.changed()
		}
	}
	return between
}

// unflagged are the peers that have lost the flag before their session was up,
// and whether no OPEN has been sent to them.
func (e *engine) unflagged(ctx context.Context) map[string]bool {
	out := map[string]bool{}
	_ = e.server.ListPeer(ctx, &api.ListPeerRequest{}, func(p *api.Peer) {
		if p.GracefulRestart.LocalRestarting {
			return
		}
		switch p.State.SessionState {
		case api.PeerState_IDLE, api.PeerState_CONNECT, api.PeerState_ACTIVE:
			out[p.Conf.NeighborAddress] = true
		case api.PeerState_OPENSENT, api.PeerState_OPENCONFIRM:
			out[p.Conf.NeighborAddress] = false
		}
	})
	return out
}
