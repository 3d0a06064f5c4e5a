// Package fake is a BGP speaker without BGP, for tests of what stands above
// one: the test plays the peers, and sees what was applied. It keeps what
// bgp/speaker promises: nothing comes in that Peer.Accept does not cover, a
// wider Accept lets in what was refused before, a reset forgets what the peer
// has sent. The contract test of bgp/speaker runs against both.
package fake

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"syscall"

	"fairlead.dev/bgp"
)

// Speaker stands in for speaker.Speaker.
type Speaker struct {
	changes chan struct{}

	mu      sync.Mutex
	started bool
	have    bgp.Config
	peers   map[netip.Addr]*peer
	applied []bgp.Config
	failure error
	unread  error
	taken   int32 // a port, 0 for none
}

// New returns a speaker that does nothing until the first Apply.
func New() *Speaker {
	return &Speaker{changes: make(chan struct{}, 1), peers: map[netip.Addr]*peer{}}
}

// Apply makes cfg true, or fails as Fail says.
func (s *Speaker) Apply(ctx context.Context, cfg bgp.Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(ctx.Err(), s.failure); err != nil {
		return err
	}
	want, err := bgp.Sift(cfg)
	if errors.Is(err, bgp.ErrGlobal) {
		return err
	}
	if s.taken != 0 && want.Global.ListenPort == s.taken && s.have.Global.ListenPort != s.taken {
		taken := fmt.Errorf("start BGP on port %d: %w", s.taken, syscall.EADDRINUSE)
		if !s.started {
			return taken
		}
		want.Global, err = s.have.Global, errors.Join(err, taken)
	}
	s.applied = append(s.applied, want)
	ops := bgp.Diff(want, s.have)
	if ops.Restart {
		s.peers = map[netip.Addr]*peer{}
	}
	for _, a := range ops.Delete {
		delete(s.peers, a)
	}
	for _, u := range ops.Update {
		if u.Reset {
			s.peers[u.Peer.Address] = newPeer()
		}
	}
	for _, p := range ops.Add {
		s.peers[p.Address] = newPeer()
	}
	s.have, s.started = want, true
	if !ops.Empty() {
		s.changed()
	}
	return err
}

// Routes are what the peers were made to send and Accept covers.
func (s *Speaker) Routes() ([]bgp.Route, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.started {
		return nil, bgp.ErrNotStarted
	}
	if s.unread != nil {
		return nil, s.unread
	}
	routes := map[netip.Prefix]bgp.Route{}
	for _, p := range s.have.Peers {
		for prefix, l := range s.peers[p.Address].learned {
			if p.Accepts(prefix) && !slices.Contains(s.have.Announce, prefix) {
				routes[prefix] = merge(routes[prefix], prefix, p.Address, l)
			}
		}
	}
	var out []bgp.Route
	for _, r := range routes {
		slices.SortFunc(r.NextHops, netip.Addr.Compare)
		r.NextHops = slices.Compact(r.NextHops)
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b bgp.Route) int { return bgp.ComparePrefix(a.Prefix, b.Prefix) })
	return out, nil
}

// Sessions are the peers of the last Config.
func (s *Speaker) Sessions() []bgp.Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []bgp.Session
	for _, p := range s.have.Peers {
		out = append(out, s.peers[p.Address].session(p, s.have.Announce))
	}
	return out
}

// Changes gets a value after every change.
func (s *Speaker) Changes() <-chan struct{} { return s.changes }

// Leave ends everything, until the next Apply.
func (s *Speaker) Leave(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started, s.have, s.peers = false, bgp.Config{}, map[netip.Addr]*peer{}
	s.changed()
	return nil
}

// Applied are all Configs that came with Apply, the newest last.
func (s *Speaker) Applied() []bgp.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.applied)
}

// Fail makes every Apply fail from now on; nil makes it work again.
func (s *Speaker) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = err
}

// TakePort makes every Apply fail that begins to listen there, as far as that
// concerns the port; 0 frees it.
func (s *Speaker) TakePort(port int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken = port
}

// FailRoutes makes Routes fail from now on; nil makes it work again.
func (s *Speaker) FailRoutes(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unread = err
}

func (s *Speaker) changed() {
	select {
	case s.changes <- struct{}{}:
	default:
	}
}

// merge adds a path to a route; a fresh one takes the place of stale ones.
func merge(r bgp.Route, prefix netip.Prefix, from netip.Addr, l learned) bgp.Route {
	switch {
	case !r.Prefix.IsValid() || r.Stale && !l.stale:
		return bgp.Route{Prefix: prefix, NextHops: []netip.Addr{l.nextHop}, Peers: []netip.Addr{from}, Stale: l.stale}
	case l.stale && !r.Stale:
		return r
	}
	r.NextHops = append(r.NextHops, l.nextHop)
	r.Peers = append(r.Peers, from)
	return r
}
