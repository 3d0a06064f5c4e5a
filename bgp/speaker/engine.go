package speaker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	"github.com/osrg/gobgp/v3/pkg/server"

	"fairlead.dev/bgp"
)

// engine is a GoBGP server that has been started. GoBGP has no way to end its
// main loop: a server that was stopped leaves one idle goroutine behind. That
// is the price of each change of the global settings.
type engine struct {
	server  *server.BgpServer
	journal *journal
	// have is what it does, in the form of bgp.Sift.
	have bgp.Config
	// view is what the Loc-RIB was last seen to hold.
	view view
	// opened is of each peer's session what its OPEN said, of those that were asked for.
	opened map[netip.Addr]opened
	// until is when peers have dropped our routes of before the restart.
	until time.Time
}

// loopHook turns the end of each turn of the engine's loop that handled a
// message or a state change of a session into a signal. WatchEvent would
// first turn each path of it into protobuf.
type loopHook func()

// Observe implements server.FSMTimingHook.
func (h loopHook) Observe(op server.FSMOperation, _, _ time.Duration) {
	if op == server.FSMMessage {
		h()
	}
}

// start is for who holds the gate.
func (s *Speaker) start(ctx context.Context, g bgp.Global) (*engine, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	j := newJournal(s.opts.Logger, g.ASN, s.changed)
	e := &engine{
		journal: j,
		server:  server.NewBgpServer(server.LoggerOption(j), server.TimingHookOption(loopHook(s.changed))),
		have:    bgp.Config{Global: g},
		view:    view{table: newTable()},
		opened:  map[netip.Addr]opened{},
	}
	j.deferred = func(a netip.Addr) { go e.resume(a) }
	if g.Restarting {
		e.until = time.Now().Add(g.RestartTime)
	}
	go e.server.Serve()
	if err := e.begin(ctx, renderGlobal(g)); err != nil {
		// It may listen already on some of the addresses.
		return nil, errors.Join(err, e.stop(ctx))
	}
	if e.restarting() {
		if err := e.holdOut(ctx); err != nil {
			s.opts.Logger.Warn("a peer may drop our routes for a moment while we restart", "err", err)
		}
	}
	return e, nil
}

func (e *engine) begin(ctx context.Context, g *api.Global) error {
	if err := e.server.StartBgp(ctx, &api.StartBgpRequest{Global: g}); err != nil {
		return fmt.Errorf("start BGP as AS %d on port %d: %w", g.Asn, g.ListenPort, err)
	}
	if err := e.setPolicies(ctx, nil, nil); err != nil {
		return fmt.Errorf("set import and export policies: %w", err)
	}
	return e.assignPolicies(ctx)
}

func renderGlobal(g bgp.Global) *api.Global {
	return &api.Global{
		Asn:              g.ASN,
		RouterId:         g.RouterID.String(),
		ListenPort:       g.ListenPort,
		UseMultiplePaths: true,
	}
}

// stop says Cease to every peer and returns when it has been sent.
func (e *engine) stop(ctx context.Context) error {
	stopped := make(chan error, 1)
	go func() { stopped <- e.server.StopBgp(context.WithoutCancel(ctx), &api.StopBgpRequest{}) }()
	select {
	case err := <-stopped:
		if err != nil {
			return fmt.Errorf("stop BGP: %w", err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop BGP: %w", ctx.Err())
	}
}

// peer is one that the engine has.
func (e *engine) peer(a netip.Addr) (bgp.Peer, bool) {
	i := slices.IndexFunc(e.have.Peers, func(p bgp.Peer) bool { return p.Address == a })
	if i < 0 {
		return bgp.Peer{}, false
	}
	return e.have.Peers[i], true
}

// originates says that a prefix is of those that are announced.
func (e *engine) originates(p netip.Prefix) bool {
	_, own := slices.BinarySearchFunc(e.have.Announce, p, bgp.ComparePrefix)
	return own
}

// restarting says that peers may still hold our routes of before the restart.
func (e *engine) restarting() bool { return time.Now().Before(e.until) }
