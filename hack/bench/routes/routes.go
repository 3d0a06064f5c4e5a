// Package routes measures how fast the route table of dataplane/route makes and
// compares kernel routes, beside iproute2 in the same namespace.
package routes

import (
	"context"
	"fmt"
	"net/netip"

	"fairlead.dev/dataplane"
	"fairlead.dev/hack/bench/measure"
	"fairlead.dev/hack/bench/rig"
)

// Area is the name of this area.
const Area = "routes"

// Peers.
const (
	peerBatch = "ip -batch"
	peerShow  = "ip route show"
)

// load is a number of routes that rows speak of.
type load struct {
	name  string
	count int
	// often multiplies the repeats: what is done sooner meets more chance.
	often int
	// compare says that the comparison of a table of so many is measured too.
	compare bool
}

func loads() []load {
	return []load{{"1k", 1000, 20, false}, {"10k", 10_000, 4, true}, {"100k", 100_000, 1, true}}
}

// Rows are the names of all rows, in order.
func Rows() []string {
	var names []string
	for _, l := range loads() {
		names = append(names, "install-"+l.name)
		if l.compare {
			names = append(names, "compare-"+l.name)
		}
	}
	return names
}

// Run measures.
func Run(ctx context.Context, r *rig.Rig, emit func(measure.Row)) error {
	k, err := newKernel(ctx, r.Dir)
	if err != nil {
		return err
	}
	defer k.close()
	for _, l := range loads() {
		routes := generate(l.count / r.Size.Shrink)
		repeats := l.often * r.Size.Repeats
		r.Note("%d routes, %d times by each of us, %s and %s", len(routes), repeats, peerBatch, peerShow)
		if err := k.measure(ctx, l, routes, repeats, emit); err != nil {
			return fmt.Errorf("%s routes: %w", l.name, err)
		}
	}
	return nil
}

// measure does everything in turns: the table is empty before each
// installation and whole in each comparison.
func (k *kernel) measure(ctx context.Context, l load, routes []dataplane.Route, repeats int, emit func(measure.Row)) error {
	if err := k.writeBatch(routes); err != nil {
		return err
	}
	var install, compare measure.Pair
	for range repeats {
		took, err := k.batch(ctx, len(routes))
		if err != nil {
			return err
		}
		install.Peer = append(install.Peer, float64(len(routes))/took.Seconds())
		if err := k.clean(); err != nil {
			return err
		}
		if took, err = k.apply(routes); err != nil {
			return err
		}
		install.Ours = append(install.Ours, float64(len(routes))/took.Seconds())
		if took, err = k.apply(routes); err != nil {
			return err
		}
		compare.Ours.Add(took)
		if took, err = k.show(ctx, len(routes)); err != nil {
			return err
		}
		compare.Peer.Add(took)
		if err := k.clean(); err != nil {
			return err
		}
	}
	emit(install.Median(Area, "install-"+l.name, measure.RoutesPerSecond, peerBatch))
	if l.compare {
		emit(compare.Median(Area, "compare-"+l.name, measure.Milliseconds, peerShow))
	}
	return nil
}

// generate makes the routes to so many blocks of 64 pods, all by one router.
func generate(count int) []dataplane.Route {
	routes := make([]dataplane.Route, count)
	for i := range routes {
		n := 10<<24 | i<<6
		routes[i] = dataplane.Route{
			Prefix:   netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), 26),
			NextHops: []netip.Addr{netip.MustParseAddr(router)},
		}
	}
	return routes
}
