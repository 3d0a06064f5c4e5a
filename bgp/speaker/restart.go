package speaker

import (
	"context"
	"net/netip"
	"slices"

	api "github.com/osrg/gobgp/v3/api"

	"fairlead.dev/bgp"
)

// renew gives the restart flag back to peers that have not been up since the
// engine started. GoBGP takes it from every peer as soon as the first ones have
// sent their end-of-RIB; a second ToR, whose session comes up a moment later,
// would read in our OPEN that our routes did not survive, and delete them
// (RFC 4724 section 4.2). The flag can only be set on a new peer, so one that
// is not connected yet is replaced.
func (s *Speaker) renew(ctx context.Context, e *engine) {
	defer close(e.ended)
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.journal.synced:
			if s.enter(ctx) != nil {
				return
			}
			s.renewPeers(ctx, e)
			s.leave()
		}
	}
}

func (s *Speaker) renewPeers(ctx context.Context, e *engine) {
	if !e.restarting() {
		return
	}
	idle := e.unconnected(ctx)
	for _, p := range slices.Clone(e.have.Peers) {
		if !idle[p.Address.String()] || !e.journal.restarting(p.Address) {
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
}

// unconnected are the peers that no OPEN has been sent to, and that have lost
// the flag.
func (e *engine) unconnected(ctx context.Context) map[string]bool {
	out := map[string]bool{}
	_ = e.server.ListPeer(ctx, &api.ListPeerRequest{}, func(p *api.Peer) {
		state := p.State.SessionState
		early := state == api.PeerState_IDLE || state == api.PeerState_CONNECT || state == api.PeerState_ACTIVE
		out[p.Conf.NeighborAddress] = early && !p.GracefulRestart.LocalRestarting
	})
	return out
}
