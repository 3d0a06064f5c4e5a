// Package bgp measures how soon our speaker is heard: by real routers as
// receivers, beside BIRD in the speaker's place on the same wires.
package bgp

import (
	"context"
	"fmt"
	"time"

	"fairlead.dev/hack/bench/measure"
	"fairlead.dev/hack/bench/rig"
)

// Area is the name of this area.
const Area = "bgp"

// peer does what our speaker does.
const peer = "bird"

// bulk is the number of prefixes of announce-10k-to-bird.
const bulk = 10_000

// bound is how long anything here may take.
const bound = 60 * time.Second

// Rows are the names of all rows, in order.
func Rows() []string {
	return append(append(single("bird"), "announce-10k-to-bird", "restart-to-end-of-rib"), single("frr")...)
}

func single(receiver string) []string {
	var names []string
	for _, verb := range []string{"announce", "withdraw"} {
		name := verb + "-to-" + receiver
		names = append(names, name, name+"-p99")
	}
	return names
}

// Run measures.
func Run(ctx context.Context, r *rig.Rig, emit func(measure.Row)) error {
	if err := toBIRD(ctx, r, emit); err != nil {
		return fmt.Errorf("to bird: %w", err)
	}
	if err := toFRR(ctx, r, emit); err != nil {
		return fmt.Errorf("to frr: %w", err)
	}
	return nil
}

// toBIRD measures with BIRD as the ToR.
func toBIRD(ctx context.Context, r *rig.Rig, emit func(measure.Row)) error {
	s, err := newStage(ctx, r)
	if err != nil {
		return err
	}
	defer s.ends.Close()
	tor, err := s.newBIRD(ctx, s.tor, "tor", s.birdTor())
	if err != nil {
		return err
	}
	many := bulk / r.Size.Shrink
	p, err := s.newPair(ctx, many)
	if err != nil {
		return err
	}
	if err := p.single(ctx, r, "bird", emit); err != nil {
		return err
	}
	repeats := 2 * r.Size.Repeats
	r.Note("%d prefixes, %d times each", many, repeats)
	announced, _, err := p.changes(ctx, many, repeats)
	if err != nil {
		return err
	}
	emit(announced.Median(Area, "announce-10k-to-bird", measure.Milliseconds, peer))
	r.Note("%d restarts each", r.Size.Restarts)
	restarts, err := p.restarts(ctx, tor, r.Size.Restarts)
	if err != nil {
		return err
	}
	emit(restarts.Median(Area, "restart-to-end-of-rib", measure.Milliseconds, peer))
	return nil
}

// toFRR measures with FRR as the ToR.
func toFRR(ctx context.Context, r *rig.Rig, emit func(measure.Row)) error {
	s, err := newStage(ctx, r)
	if err != nil {
		return err
	}
	defer s.ends.Close()
	if err := s.startFRR(ctx); err != nil {
		return err
	}
	p, err := s.newPair(ctx, 1)
	if err != nil {
		return err
	}
	return p.single(ctx, r, "frr", emit)
}

// single measures one prefix that comes and goes.
func (p *pair) single(ctx context.Context, r *rig.Rig, receiver string, emit func(measure.Row)) error {
	r.Note("one prefix to %s, %d times each", receiver, r.Size.Announcements)
	announced, withdrawn, err := p.changes(ctx, 1, r.Size.Announcements)
	if err != nil {
		return err
	}
	for _, v := range []struct {
		verb string
		pair measure.Pair
	}{{"announce", announced}, {"withdraw", withdrawn}} {
		name := v.verb + "-to-" + receiver
		emit(v.pair.Median(Area, name, measure.Milliseconds, peer))
		emit(v.pair.P99(Area, name, measure.Milliseconds, peer))
	}
	return nil
}
