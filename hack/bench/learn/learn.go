// Package learn measures how soon what a peer announces is learned, and in the
// kernel: by our agent, by our speaker alone, by BIRD and by FRR, each on a node
// of its own behind the same kind of ToR.
package learn

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"fairlead.dev/hack/bench/rig"
)

// bound is how long anything here may take.
const bound = 60 * time.Second

// Outcome is what one learner took.
type Outcome struct {
	// Took is from the order to the ToR to announce until the last route was in
	// the kernel, of a learner that installs none until it knew the last.
	Took time.Duration
	// Installing is from the first route in the kernel to the last, 0 of a
	// learner that installs none.
	Installing time.Duration
	// RSS is the learner's resident memory with all routes, in MiB.
	RSS float64
}

// Who learns.
type Who string

// Learners.
const (
	Agent   Who = "agent"
	Speaker Who = "speaker"
	BIRD    Who = "bird"
	FRR     Who = "frr"
)

// learner is one that runs and has its session.
type learner struct {
	pids []int
	// alive says how it ended, if it has.
	alive func() error
	// learned returns when it knew so many routes; nil of one that installs them.
	learned func(count int) (time.Time, error)
}

// Measure has one learner learn these IPv4 prefixes, and base beside them.
func Measure(ctx context.Context, r *rig.Rig, who Who, prefixes []netip.Prefix) (Outcome, error) {
	o, err := measure(ctx, r, who, prefixes)
	if err != nil {
		return o, fmt.Errorf("%s learns %d routes: %w", who, len(prefixes), err)
	}
	return o, nil
}

func measure(ctx context.Context, r *rig.Rig, who Who, prefixes []netip.Prefix) (Outcome, error) {
	s, err := newStage(ctx, r, prefixes)
	if err != nil {
		return Outcome{}, err
	}
	defer s.ends.Close()
	l, err := s.start(ctx, r, who)
	if err != nil {
		return Outcome{}, err
	}
	if l.learned == nil {
		l.learned = func(count int) (time.Time, error) {
			_, last, err := s.tally.Wait(ctx, bound, count)
			return last, err
		}
	}
	if _, err := l.learned(1); err != nil {
		return Outcome{}, fmt.Errorf("session: %w", errors.Join(err, l.alive()))
	}
	s.tally.Reset()
	start := time.Now()
	if _, err := s.tor.Command(ctx, "enable "+many); err != nil {
		return Outcome{}, err
	}
	if who == Speaker {
		end, err := l.learned(1 + len(prefixes))
		return Outcome{Took: end.Sub(start)}, err
	}
	first, last, err := s.tally.Wait(ctx, bound, len(prefixes))
	if err != nil {
		return Outcome{}, errors.Join(err, l.alive())
	}
	rss, err := rig.RSS(l.pids...)
	return Outcome{Took: last.Sub(start), Installing: last.Sub(first), RSS: rss}, err
}

func (s *stage) start(ctx context.Context, r *rig.Rig, who Who) (learner, error) {
	switch who {
	case BIRD:
		return s.startBIRD(ctx)
	case FRR:
		return s.startFRR(ctx)
	case Speaker:
		return s.startSpeaker()
	default:
		return s.startAgent(ctx, r)
	}
}
