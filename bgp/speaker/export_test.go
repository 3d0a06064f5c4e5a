package speaker

import (
	"context"

	api "github.com/osrg/gobgp/v3/api"

	"fairlead.dev/bgp"
)

// ApplyDeferring is a first Apply after which the engine would wait an hour for its
// peers before it sends them anything, in place of deferralTime: what they are sent
// meanwhile is not the engine's doing.
func (s *Speaker) ApplyDeferring(ctx context.Context, c bgp.Config) error {
	peers := c.Peers
	c.Peers = nil
	if err := s.Apply(ctx, c); err != nil {
		return err
	}
	for _, p := range peers {
		r := renderPeer(p, c.Global.RestartTime, c.Global.Restarting)
		r.GracefulRestart.DeferralTime = 60 * 60
		s.engine.journal.open(p, c.Global.Restarting)
		if err := s.engine.server.AddPeer(ctx, &api.AddPeerRequest{Peer: r}); err != nil {
			return err
		}
	}
	return nil
}
