package speaker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	api "github.com/osrg/gobgp/v3/api"

	"fairlead.dev/bgp"
)

// Routes are the learned routes of the Loc-RIB of both families, sorted by
// prefix: all that was accepted and is best, none of our own. While the engine
// does not run the error is bgp.ErrNotStarted. Nobody may write to what is returned:
// who asks again while nothing has changed gets the same.
func (s *Speaker) Routes() ([]bgp.Route, error) {
	ctx := context.Background()
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	if s.engine == nil {
		return nil, bgp.ErrNotStarted
	}
	if err := s.engine.refresh(ctx); err != nil {
		return nil, err
	}
	return s.engine.view.routes, s.engine.view.err()
}

// stalePathTime is how long after its return a peer's old paths may wait for its
// end-of-RIB. The engine waits forever for one that never sends it, which RFC
// 4724 section 4.2 leaves open where it does not forbid it.
const stalePathTime = 2 * time.Minute

// neighbour is where a path comes from.
type neighbour struct {
	bgp.Peer
	// alone is its address, and only its name, for the routes that come from no other.
	alone []netip.Addr
	only  []string
	// back says that the peer's stale paths are void.
	back bool
}

// neighbours are the peers by address as a path names it: without the link.
func (e *engine) neighbours(ctx context.Context) map[string]neighbour {
	out := make(map[string]neighbour, len(e.have.Peers))
	for _, p := range e.have.Peers {
		known := e.journal.entry(p.Address)
		back := known.up && (time.Since(known.since) > stalePathTime || e.forgot(ctx, p.Address, known))
		name := p.Address.WithZone("").String()
		out[name] = neighbour{p, []netip.Addr{p.Address}, []string{name}, back}
	}
	return out
}

// reader turns what the engine lists into routes. Routes of one next hop share
// it, and those of the same peers their names: nobody may write to either.
type reader struct {
	neighbours map[string]neighbour
	asn        uint32
	// hint is about how many prefixes there are to read.
	hint int
	// known are attributes read before, by their peer and bytes.
	known map[string]attributes
	// together are the senders of several paths, by their names.
	together map[string][]string
	// before is the route that was read last.
	before bgp.Route
	// key, names and paths are used again for each path and route.
	key   []byte
	names []string
	paths []path
}

func (e *engine) newReader(ctx context.Context) *reader {
	return &reader{
		neighbours: e.neighbours(ctx), asn: e.have.Global.ASN,
		known: map[string]attributes{}, together: map[string][]string{},
	}
}

// read turns the paths of a prefix, best first, into a route. There is none if
// nothing is learned, or a path is our own, which always wins.
func (r *reader) read(d *api.Destination) found {
	prefix, err := netip.ParsePrefix(d.Prefix)
	if err != nil {
		return found{err: fmt.Errorf("read route %q: %w", d.Prefix, err)}
	}
	r.paths, r.names = r.paths[:0], r.names[:0]
	own := false
	var bad []error
	for _, in := range d.Paths {
		from, known := r.neighbours[in.NeighborIp]
		if !known {
			own = own || isOwn(in)
			continue // or of a peer that is being removed
		}
		r.names = append(r.names, in.NeighborIp)
		if in.Stale && from.back {
			continue
		}
		a, err := r.attributes(in, from)
		if err != nil {
			bad = append(bad, fmt.Errorf("read route %s: %w", d.Prefix, err))
			continue
		}
		r.paths = append(r.paths, path{a, from, in.Stale})
	}
	out := found{Route: bgp.Route{Prefix: prefix}, senders: r.senders(), err: errors.Join(bad...)}
	if len(r.paths) > 0 && !own {
		out.Route = r.share(merge(prefix, r.paths))
	}
	return out
}

// share gives a route the lists of the one before, where they say the same: where
// there are two ToRs nearly all routes go to both.
func (r *reader) share(out bgp.Route) bgp.Route {
	if slices.Equal(out.NextHops, r.before.NextHops) {
		out.NextHops = r.before.NextHops
	}
	if slices.Equal(out.Peers, r.before.Peers) {
		out.Peers = r.before.Peers
	}
	r.before = out
	return out
}

// senders are those of r.names.
func (r *reader) senders() []string {
	if len(r.names) == 1 {
		return r.neighbours[r.names[0]].only
	}
	r.key = r.key[:0]
	for _, name := range r.names {
		r.key = append(append(r.key, name...), ' ')
	}
	all, ok := r.together[string(r.key)]
	if !ok {
		all = slices.Clone(r.names)
		r.together[string(r.key)] = all
	}
	return all
}

// isOwn says that a path was originated here.
func isOwn(p *api.Path) bool {
	_, err := netip.ParseAddr(p.NeighborIp)
	return err != nil
}

// merge takes the paths that are as good as the best one. Those of restarting
// peers yield to equal ones of others.
func merge(prefix netip.Prefix, paths []path) bgp.Route {
	if len(paths) == 1 {
		p := paths[0]
		return bgp.Route{Prefix: prefix, NextHops: p.hops, Peers: p.from.alone, Stale: p.stale}
	}
	best := paths[0].rank
	equal := slices.DeleteFunc(paths, func(p path) bool { return p.rank != best })
	stale := !slices.ContainsFunc(equal, func(p path) bool { return !p.stale })
	r := bgp.Route{Prefix: prefix, Stale: stale}
	for _, p := range equal {
		if p.stale == stale {
			r.NextHops = append(r.NextHops, p.hops...)
			r.Peers = append(r.Peers, p.from.Address)
		}
	}
	slices.SortFunc(r.NextHops, netip.Addr.Compare)
	r.NextHops = slices.Compact(r.NextHops)
	slices.SortFunc(r.Peers, netip.Addr.Compare)
	return r
}
