package speaker

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"time"

	api "github.com/osrg/gobgp/v3/api"

	"fairlead.dev/bgp"
)

// An engine that does not listen waits for the holdout, too, and nobody sees it.
func TestHoldoutWithoutListener(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := &Speaker{
		opts: Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}, changes: make(chan struct{}, 1),
		gate: make(chan struct{}, 1),
	}
	e, err := s.start(t.Context(), bgp.Global{ASN: testASN, RouterID: left, ListenPort: -1, RestartTime: time.Minute, Restarting: true})
	if err != nil {
		t.Fatal(err)
	}
	s.engine = e
	waits := false
	err = e.server.ListPeer(t.Context(), &api.ListPeerRequest{}, func(p *api.Peer) {
		state := p.AfiSafis[0].MpGracefulRestart.State
		waits = p.Conf.NeighborAddress == holdout().String() && state.Received && !state.EndOfRibReceived
	})
	if err != nil || !waits {
		t.Errorf("the engine waits for the holdout: %t, %v", waits, err)
	}
	if all := s.Sessions(); len(all) != 0 {
		t.Errorf("sessions are %+v", all)
	}
	if err := s.Leave(context.Background()); err != nil {
		t.Error(err)
	}
	if log.Len() > 0 {
		t.Errorf("it is told of:\n%s", log.String())
	}
}
