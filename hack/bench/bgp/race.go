package bgp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"fairlead.dev/hack/bench/measure"
	"fairlead.dev/hack/bench/rig"
	"fairlead.dev/hack/bench/router"
)

// always is how many prefixes each sender announces all the time: more than a
// node has blocks of.
const always = 10

// sender is who announces on a wire: our speaker or BIRD.
type sender interface {
	// say announces the first always+extra prefixes of the wire.
	say(ctx context.Context, extra int) error
	// Kill is kill -9, restart starts it after that, as one whose routes survived.
	Kill()
	restart(ctx context.Context) error
}

// pair is both senders on their wires.
type pair struct {
	stage   *stage
	senders [2]sender
}

// newPair starts both and waits for their sessions. Besides one prefix, BIRD
// can announce many more.
func (s *stage) newPair(ctx context.Context, many int) (*pair, error) {
	o, err := s.newOurs()
	if err != nil {
		return nil, err
	}
	b, err := s.newBIRD(ctx, s.wires[1].node, "sender", s.wires[1].birdSender(always, 1, many))
	if err != nil {
		return nil, err
	}
	p := &pair{stage: s, senders: [2]sender{speakerSender{o}, &birdSender{BIRD: b}}}
	for i, sender := range p.senders {
		if err := sender.say(ctx, 0); err != nil {
			return nil, err
		}
		if _, err := s.watcher.Added(ctx, bound, s.wires[i].prefixes(0, always)...); err != nil {
			return nil, fmt.Errorf("session of %T: %w", sender, err)
		}
	}
	return p, nil
}

// speakerSender is ours.
type speakerSender struct{ *ours }

func (s speakerSender) say(_ context.Context, extra int) error {
	return s.announce(false, s.wire.prefixes(0, always+extra))
}

func (s speakerSender) restart(context.Context) error {
	if err := s.start(); err != nil {
		return err
	}
	return s.announce(true, s.wire.prefixes(0, always))
}

// birdSender is the peer's.
type birdSender struct {
	*router.BIRD
	static string // the protocol that announces the extra ones
}

func (s *birdSender) say(ctx context.Context, extra int) error {
	verb := "enable"
	switch {
	case extra == 1:
		s.static = "routes_one"
	case extra > 1:
		s.static = "routes_many"
	case s.static == "":
		return nil // there is nothing to take back yet
	default:
		verb = "disable"
	}
	_, err := s.Command(ctx, verb+" "+s.static)
	return err
}

// restart is the way in which BIRD's own routes survive its restart.
func (s *birdSender) restart(ctx context.Context) error { return s.Start(ctx, "-R") }

// changes measures how long it is from the order to announce so many more
// prefixes until the ToR's kernel has the last of them, and the same for taking
// them back, in turns.
func (p *pair) changes(ctx context.Context, extra, repeats int) (announced, withdrawn measure.Pair, err error) {
	for range repeats {
		for i, sample := range []struct{ announced, withdrawn *measure.Sample }{
			{&announced.Ours, &withdrawn.Ours}, {&announced.Peer, &withdrawn.Peer},
		} {
			prefixes := p.stage.wires[i].prefixes(always, extra)
			p.stage.watcher.Forget()
			if err := p.change(ctx, i, extra, p.stage.watcher.Added, prefixes, sample.announced); err != nil {
				return announced, withdrawn, err
			}
			if err := p.change(ctx, i, 0, p.stage.watcher.Removed, prefixes, sample.withdrawn); err != nil {
				return announced, withdrawn, err
			}
		}
	}
	return announced, withdrawn, nil
}

// noted is Added or Removed of a watcher.
type noted func(context.Context, time.Duration, ...netip.Prefix) (time.Time, error)

func (p *pair) change(ctx context.Context, i, extra int, noted noted, prefixes []netip.Prefix, sample *measure.Sample) error {
	start := time.Now()
	if err := p.senders[i].say(ctx, extra); err != nil {
		return err
	}
	end, err := noted(ctx, bound, prefixes...)
	sample.Add(end.Sub(start))
	return err
}

// restarts measures how long it is from the start of a sender that was killed
// until tor has all its routes again and was told so (End-of-RIB, RFC 4724).
func (p *pair) restarts(ctx context.Context, tor *router.BIRD, repeats int) (measure.Pair, error) {
	var times measure.Pair
	for range repeats {
		for i, sample := range []*measure.Sample{&times.Ours, &times.Peer} {
			session := p.stage.wires[i].session()
			p.senders[i].Kill()
			if err := await(ctx, tor, session, isStale); err != nil {
				return times, err
			}
			start := time.Now()
			if err := p.senders[i].restart(ctx); err != nil {
				return times, err
			}
			if err := await(ctx, tor, session, isFresh); err != nil {
				return times, err
			}
			sample.Add(time.Since(start))
		}
	}
	return times, nil
}

// await asks the ToR often about a session.
func await(ctx context.Context, tor *router.BIRD, session string, is func(said string) error) error {
	return rig.Wait(ctx, bound, time.Millisecond, "session "+session, func() error {
		said, err := tor.Command(ctx, "show protocols all "+session)
		if err != nil {
			return err
		}
		return is(said)
	})
}

// graceful is what BIRD says of a neighbour from its end until its End-of-RIB.
const graceful = "Neighbor graceful restart active"

func isStale(said string) error {
	if strings.Contains(said, graceful) && !strings.Contains(said, "BGP state:          Established") {
		return nil
	}
	return errors.New("the session's end is not seen")
}

func isFresh(said string) error {
	switch {
	case strings.Contains(said, graceful):
		return errors.New("no End-of-RIB yet")
	case !strings.Contains(said, "BGP state:          Established"):
		return errors.New("not established")
	}
	return nil
}
