package speaker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	api "github.com/osrg/gobgp/v3/api"

	"fairlead.dev/bgp"
)

const (
	// listingAge is how long a listing may do although nothing tells of a change.
	listingAge = 30 * time.Second
	// calm is for how long nothing must have changed before a listing is made
	// ahead: longer than the pauses within a burst of UPDATEs, on a busy node too.
	calm = 50 * time.Millisecond
)

// listing is what the RIB was found to hold. With 100,000 routes it takes the
// engine a third of a second of a processor, most of it to copy its table and to
// turn each path into protobuf.
type listing struct {
	routes []bgp.Route
	// err is about paths that could not be read.
	err error
	// turn is the speaker's before the listing, at the time of it.
	turn uint64
	at   time.Time
	// back is how many peers' stale paths were void: what time alone can change.
	back int
}

// routes are those of the last listing if nothing has changed since.
func (e *engine) routes(ctx context.Context) ([]bgp.Route, error) {
	neighbours := e.neighbours()
	back := 0
	for _, n := range neighbours {
		if n.back {
			back++
		}
	}
	l := e.listed
	if l.at.IsZero() || l.turn != e.turns.Load() || l.back != back || time.Since(l.at) > listingAge {
		var err error
		if l, err = e.list(ctx, neighbours); err != nil {
			return nil, err
		}
		l.back = back
		e.listed = l
	}
	return l.routes, l.err
}

// list reads the RIB, and counts it.
func (e *engine) list(ctx context.Context, neighbours map[string]neighbour) (listing, error) {
	l := listing{turn: e.turns.Load(), at: time.Now()}
	in := &reader{neighbours: neighbours, asn: e.have.Global.ASN, known: map[string]attributes{}}
	var bad []error
	c := e.newCounts()
	err := e.eachDestination(ctx, func(d *api.Destination) {
		c.add(d)
		r, ok, err := in.route(d)
		if err != nil {
			bad = append(bad, fmt.Errorf("read route %s: %w", d.Prefix, err))
		}
		if ok {
			l.routes = append(l.routes, r)
		}
	})
	if err != nil {
		return l, err
	}
	c.until = time.Now().Add(countAge)
	e.counts = c
	slices.SortFunc(l.routes, func(a, b bgp.Route) int { return bgp.ComparePrefix(a.Prefix, b.Prefix) })
	l.err = errors.Join(bad...)
	return l, nil
}

// listAhead lists the RIB when it has come to rest after changes, so that the
// listing is there for who asks for routes, and was busy meanwhile with those
// that it got before. It ends with ctx.
func (s *Speaker) listAhead(ctx context.Context, e *engine) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.turned:
		}
		if !s.rest(ctx) || s.enter(ctx) != nil {
			return
		}
		_, _ = e.routes(ctx) // who asks for routes is told
		s.leave()
	}
}

// rest returns when nothing has changed for a moment, or false when ctx ends.
func (s *Speaker) rest(ctx context.Context) bool {
	tick := time.NewTicker(calm)
	defer tick.Stop()
	for last := s.turns.Load(); ; {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
		now := s.turns.Load()
		if now == last {
			return true
		}
		last = now
	}
}
