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
	return s.engine.routes(ctx)
}

// eachDestination visits the Loc-RIB. Attributes come as on the wire: to turn
// them into protobuf and back costs several times as much.
func (e *engine) eachDestination(ctx context.Context, visit func(*api.Destination)) error {
	for _, a := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		f := family(a)
		err := e.server.ListPath(ctx, &api.ListPathRequest{
			TableType: api.TableType_GLOBAL, Family: f, EnableOnlyBinary: true,
		}, visit)
		if err != nil {
			return fmt.Errorf("list the Loc-RIB of %s: %w", f.Afi, err)
		}
	}
	return nil
}

// stalePathTime is how long after its return a peer's old paths may wait for its
// end-of-RIB. The engine waits forever for one that never sends it, which RFC
// 4724 section 4.2 leaves open where it does not forbid it.
const stalePathTime = 2 * time.Minute

// neighbour is where a path comes from.
type neighbour struct {
	bgp.Peer
	// alone is its address, for the routes that come from no other.
	alone []netip.Addr
	// back says that the peer's stale paths are void.
	back bool
}

// neighbours are the peers by address as a path names it: without the link.
func (e *engine) neighbours() map[string]neighbour {
	out := make(map[string]neighbour, len(e.have.Peers))
	for _, p := range e.have.Peers {
		known := e.journal.entry(p.Address)
		back := known.up && time.Since(known.since) > stalePathTime
		out[p.Address.WithZone("").String()] = neighbour{p, []netip.Addr{p.Address}, back}
	}
	return out
}

// reader turns what the engine lists into routes. Routes of one next hop share
// it, and those of one peer its address: nobody may write to either.
type reader struct {
	neighbours map[string]neighbour
	asn        uint32
	// known are attributes read before, by their peer and bytes.
	known map[string]attributes
	// key and paths are used again for each path and route.
	key   []byte
	paths []path
}

// route turns the paths of a prefix, best first, into a route. It is not
// ok if there is nothing learned, or a path of our own, which always wins.
func (r *reader) route(d *api.Destination) (bgp.Route, bool, error) {
	prefix, err := netip.ParsePrefix(d.Prefix)
	if err != nil {
		return bgp.Route{}, false, err
	}
	r.paths = r.paths[:0]
	var bad []error
	for _, in := range d.Paths {
		from, known := r.neighbours[in.NeighborIp]
		if !known {
			if isOwn(in) {
				return bgp.Route{}, false, nil
			}
			continue // of a peer that is being removed
		}
		if in.Stale && from.back {
			continue
		}
		a, err := r.read(in, from)
		if err != nil {
			bad = append(bad, err)
			continue
		}
		r.paths = append(r.paths, path{a, from, in.Stale})
	}
	if len(r.paths) == 0 {
		return bgp.Route{}, false, errors.Join(bad...)
	}
	return merge(prefix, r.paths), true, errors.Join(bad...)
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
			r.NextHops = append(r.NextHops, p.nextHop)
			r.Peers = append(r.Peers, p.from.Address)
		}
	}
	slices.SortFunc(r.NextHops, netip.Addr.Compare)
	r.NextHops = slices.Compact(r.NextHops)
	slices.SortFunc(r.Peers, netip.Addr.Compare)
	return r
}
