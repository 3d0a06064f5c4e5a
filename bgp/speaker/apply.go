package speaker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"fairlead.dev/bgp"
)

// Apply makes cfg true. What fails does not keep the rest from being done; the
// error joins all failures, each of which names its peer (bgp.PeerError) or prefix,
// and the next Apply tries them again. Global settings that cannot be had, such as
// a port that is taken, leave the present engine with its own. New timers of an
// established session wait for the first Apply after its end.
//
// The order is policies, prefixes, peers. A peer that sees us restart drops
// what has not come before our end-of-RIB, which goes out as soon as the
// session is up (RFC 4724 section 4.2); so nothing may be missing by then.
func (s *Speaker) Apply(ctx context.Context, cfg bgp.Config) error {
	want, siftErr := bgp.Sift(cfg)
	if errors.Is(siftErr, bgp.ErrGlobal) {
		return siftErr
	}
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	s.forget(want.Peers)
	ops := bgp.Diff(want, s.have())
	var globalErr error
	if ops.Restart {
		if globalErr = s.restart(ctx, want); globalErr != nil {
			if s.engine == nil {
				return errors.Join(siftErr, globalErr)
			}
			// It goes on as it was; all but its settings can still be followed.
			want.Global = s.engine.have.Global
			ops = bgp.Diff(want, s.have())
		}
	}
	ops.Update = slices.DeleteFunc(ops.Update, s.engine.waits)
	if ops.Empty() {
		return errors.Join(siftErr, globalErr)
	}
	defer s.changed()
	return errors.Join(siftErr, globalErr, s.change(ctx, ops, want.Peers))
}

func (s *Speaker) have() bgp.Config {
	if s.engine == nil {
		return bgp.Config{}
	}
	return s.engine.have
}

// forget drops the refusals of peers that are wanted no more.
func (s *Speaker) forget(want []bgp.Peer) {
	for a := range s.refused {
		if !slices.ContainsFunc(want, func(p bgp.Peer) bool { return p.Address == a }) {
			delete(s.refused, a)
		}
	}
}

// restart replaces the engine, unless another would get no port: then the
// present one goes on. Without an engine, all wanted peers are refused.
func (s *Speaker) restart(ctx context.Context, want bgp.Config) error {
	err := s.probe(ctx, want.Global)
	if err != nil && s.engine != nil {
		return err
	}
	if err == nil {
		err = s.stop(ctx)
	}
	if err == nil {
		s.engine, err = s.start(ctx, want.Global)
	}
	before := s.refused
	s.refused = map[netip.Addr]refusal{}
	if err == nil {
		return nil
	}
	news := false
	for _, p := range want.Peers {
		s.refused[p.Address] = refusal{p, err}
		was, known := before[p.Address]
		news = news || !known || was.err.Error() != err.Error()
	}
	if news { // the same failure again must not call for the next attempt
		s.changed()
	}
	return err
}

// probe says whether an engine would get its port. To learn it from one that
// fails to start would cost the sessions of the present engine, and a goroutine
// at each attempt.
func (s *Speaker) probe(ctx context.Context, g bgp.Global) error {
	if g.ListenPort == -1 || s.engine != nil && s.engine.have.Global.ListenPort == g.ListenPort {
		return nil
	}
	var listen net.ListenConfig
	for network, a := range map[string]netip.Addr{
		"tcp4": netip.IPv4Unspecified(),
		"tcp6": netip.IPv6Unspecified(), // a socket of that network leaves IPv4 alone
	} {
		l, err := listen.Listen(ctx, network, netip.AddrPortFrom(a, uint16(g.ListenPort)).String())
		if err == nil {
			err = l.Close()
		}
		if err != nil {
			return fmt.Errorf("start BGP as AS %d on port %d: %w", g.ASN, g.ListenPort, err)
		}
	}
	return nil
}

// change does the operations and leaves in engine.have what is there then.
func (s *Speaker) change(ctx context.Context, ops bgp.Ops, peers []bgp.Peer) error {
	e := s.engine
	done := bgp.Ops{Global: ops.Global}
	defer func() {
		e.have = done.Patch(e.have)
		e.journal.touched.ask(slices.Concat(ops.Announce, ops.Withdraw))
		if len(ops.Delete)+len(ops.Update) > 0 {
			e.journal.touched.addAll()
		}
	}()
	// What is withdrawn stays our own until it is.
	own := slices.Concat(e.have.Announce, ops.Announce)
	if err := e.setPolicies(ctx, peers, own); err != nil {
		// Without them a new peer could be believed anything.
		return fmt.Errorf("set import and export policies: %w", err)
	}
	errs := e.changePrefixes(ctx, ops, &done)
	if len(done.Withdraw) > 0 {
		if err := e.setPolicies(ctx, peers, done.Patch(e.have).Announce); err != nil {
			errs = append(errs, fmt.Errorf("set import and export policies: %w", err))
		}
	}
	for _, a := range ops.Delete {
		if err := e.remove(ctx, a); err != nil {
			errs = append(errs, &bgp.PeerError{Act: "remove", Peer: a, Err: err})
			continue
		}
		done.Delete = append(done.Delete, a)
	}
	for _, u := range ops.Update {
		if err := s.update(ctx, u, &done); err != nil {
			errs = append(errs, &bgp.PeerError{Act: "change", Peer: u.Peer.Address, Err: err})
		}
	}
	for _, p := range ops.Add {
		if err := s.add(ctx, p, &done); err != nil {
			errs = append(errs, &bgp.PeerError{Act: "add", Peer: p.Address, Err: err})
		}
	}
	return errors.Join(errs...)
}

func (s *Speaker) add(ctx context.Context, p bgp.Peer, done *bgp.Ops) error {
	err := s.engine.add(ctx, p, s.engine.restarting())
	if err != nil {
		s.refused[p.Address] = refusal{p, err}
		return err
	}
	delete(s.refused, p.Address)
	done.Add = append(done.Add, p)
	return nil
}

func (s *Speaker) update(ctx context.Context, u bgp.PeerUpdate, done *bgp.Ops) error {
	if !u.Reset {
		now, err := s.engine.adjust(ctx, u)
		done.Update = append(done.Update, bgp.PeerUpdate{Peer: now})
		return err
	}
	again := s.engine.journal.restarting(u.Peer.Address)
	if err := s.engine.remove(ctx, u.Peer.Address); err != nil {
		return err
	}
	// One whose session was never up may still wait for us.
	if err := s.engine.add(ctx, u.Peer, again); err != nil {
		s.refused[u.Peer.Address] = refusal{u.Peer, err}
		done.Delete = append(done.Delete, u.Peer.Address)
		return err
	}
	done.Update = append(done.Update, u)
	return nil
}

// changePrefixes adds before it takes away.
func (e *engine) changePrefixes(ctx context.Context, ops bgp.Ops, done *bgp.Ops) []error {
	var errs []error
	for _, p := range ops.Announce {
		if err := e.announce(ctx, p); err != nil {
			errs = append(errs, fmt.Errorf("announce %s: %w", p, err))
			continue
		}
		done.Announce = append(done.Announce, p)
	}
	for _, p := range ops.Withdraw {
		if err := e.withdraw(ctx, p); err != nil {
			errs = append(errs, fmt.Errorf("withdraw %s: %w", p, err))
			continue
		}
		done.Withdraw = append(done.Withdraw, p)
	}
	return errs
}
