package speaker

import (
	"context"
	"time"

	api "github.com/osrg/gobgp/v3/api"
)

// countAge is how long the counts of a listing for Routes do for Sessions,
// whatever happens meanwhile. Whoever asks for both, as the agent does at each
// sync, pays for one listing of the RIB, and in a burst of changes is told by
// Changes to ask again. It is longer than a sync takes to write 100,000 routes.
const countAge = 10 * time.Second

// counts are how many paths of the Loc-RIB each peer has, by its address as a
// path names it. The engine's own count is of what has no AS loop, before the
// import policy.
type counts struct {
	paths map[string]int64
	// turn is the speaker's before the listing: while it is that, nothing changed.
	turn uint64
	// until is when they are too old even for who asks for routes as well.
	until time.Time
}

func (e *engine) newCounts() counts {
	return counts{paths: map[string]int64{}, turn: e.turns.Load()}
}

func (c counts) add(d *api.Destination) {
	for _, p := range d.Paths {
		c.paths[p.NeighborIp]++
	}
}

// accepted are the counts of the last listing if they will do, or of a new one.
func (e *engine) accepted(ctx context.Context) map[string]int64 {
	if c := e.counts; c.paths != nil && (c.turn == e.turns.Load() || time.Now().Before(c.until)) {
		return c.paths
	}
	c := e.newCounts()
	if err := e.eachDestination(ctx, c.add); err == nil {
		e.counts = c
	}
	return c.paths
}
