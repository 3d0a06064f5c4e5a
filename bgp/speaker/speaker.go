// Package speaker makes a bgp.Config true with an embedded BGP engine, GoBGP v3.
// It is the only importer of GoBGP, and owns what has to be known about it.
//
// There are two ways to end. A process that just exits, in whatever way, sends
// no NOTIFICATION, so its peers keep its routes for the restart time (RFC 4724)
// and its successor, started with Global.Restarting, takes over without a route
// having changed. Leave says Cease: peers drop the routes at once.
//
// The engine knows crashes on malformed UPDATEs. They end the process, in the
// first of the two ways: nothing is caught here.
//
// Only what was originated here is ever sent, and only what Peer.Accept covers
// is ever let into the Loc-RIB. Both are the engine's global policies, which
// reject by default and are in force before there is a peer: policies of a
// single neighbour act in GoBGP for route server clients only.
package speaker

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync/atomic"

	"fairlead.dev/bgp"
)

// ErrSecond is New's answer to the second call in a process: the engine keeps
// multipath and path selection in package variables.
var ErrSecond = errors.New("a process has at most one BGP speaker")

// Options of New.
type Options struct {
	// Logger, required: what an operator cares about at Info and Warn, each
	// reason for a session's failure once; the engine's own talk at Debug.
	Logger *slog.Logger
}

// Speaker is the BGP speaker of this process. Its methods may be called from
// several goroutines; Apply and Leave wait for one another.
type Speaker struct {
	opts    Options
	changes chan struct{}

	// gate is held by who uses the fields below. It is a channel so that waiting
	// for it can be given up.
	gate chan struct{}
	// engine is nil while none runs.
	engine *engine
	// refused says why a wanted peer is not in the engine.
	refused map[netip.Addr]refusal
}

// refusal is a wanted peer that the engine does not have.
type refusal struct {
	peer bgp.Peer
	err  error
}

// taken is what ErrSecond guards.
var taken atomic.Bool //nolint:gochecknoglobals // there is one engine for a process, because of its globals

// New returns the speaker, which does nothing until the first Apply. There is
// one for a process (ErrSecond).
func New(opts Options) (*Speaker, error) {
	if taken.Swap(true) {
		return nil, ErrSecond
	}
	return &Speaker{opts: opts, changes: make(chan struct{}, 1), gate: make(chan struct{}, 1)}, nil
}

// Changes gets a value after every change of Routes or Sessions; several may be
// squashed to one.
func (s *Speaker) Changes() <-chan struct{} { return s.changes }

// changed is cheap and never blocks: the engine calls it from its only loop.
func (s *Speaker) changed() {
	select {
	case s.changes <- struct{}{}:
	default:
	}
}

// Leave ends all sessions with Cease, so that peers drop our routes at once.
// Not for restarts or upgrades: see the package comment. A later Apply starts
// the engine again.
func (s *Speaker) Leave(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	return s.stop(ctx)
}

func (s *Speaker) enter(ctx context.Context) error {
	select {
	case s.gate <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Speaker) leave() { <-s.gate }

// stop is for who holds the gate.
func (s *Speaker) stop(ctx context.Context) error {
	if s.engine == nil {
		return nil
	}
	err := s.engine.stop(ctx)
	s.engine = nil
	s.changed()
	return err
}
