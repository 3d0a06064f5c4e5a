// Package routes measures how fast the route table of dataplane/route makes,
// compares and moves kernel routes, and how soon the agent has in the kernel what
// it learns, beside iproute2, BIRD, FRR and the kernel itself.
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
	peerBatch   = "ip -batch"
	peerOneCall = "netlink.RouteAdd"
	peerShow    = "ip route show"
	peerDump    = "kernel dump"
	peerGroup   = "nexthop group"
	peerBIRD    = "bird"
	peerFRR     = "bgpd+zebra"
	peerLearn   = "speaker alone"
)

// load is a number of routes that rows speak of.
type load struct {
	name  string
	count int
	// often multiplies the repeats: what is done sooner meets more chance.
	often int
	// compare says that the comparison of a table of so many is measured too,
	// and all that there is of the largest.
	compare, all bool
}

func loads() []load {
	return []load{{"1k", 1000, 4, false, false}, {"10k", 10_000, 2, true, false}, {"100k", 100_000, 1, true, true}}
}

// failovers is how many routes move in failover-10k.
const failovers = 10_000

// Rows are the names of all rows, in order.
func Rows() []string {
	var names []string
	for _, l := range loads() {
		install := "install-" + l.name
		names = append(names, install, install+"-vs-one-call", install+"-vs-bird", install+"-vs-frr")
		if l.compare {
			names = append(names, "compare-"+l.name)
		}
		if l.all {
			names = append(names,
				install+"-vs-fastest-peer", "compare-"+l.name+"-vs-dump", "compare-"+l.name+"-memory",
				"learn-"+install+"-vs-learn", "learn-"+install+"-vs-bird", "learn-"+install+"-vs-frr",
				"agent-rss-"+l.name, "agent-rss-"+l.name+"-vs-frr")
		}
	}
	return append(names, "failover-10k", "failover-10k-vs-group")
}

// Run measures.
func Run(ctx context.Context, r *rig.Rig, emit func(measure.Row)) error {
	k, err := newKernel(ctx, r.Dir)
	if err != nil {
		return err
	}
	defer k.close()
	for _, l := range loads() {
		if err := k.load(ctx, r, l, emit); err != nil {
			return fmt.Errorf("%s routes: %w", l.name, err)
		}
	}
	count := failovers / r.Size.Shrink
	r.Note("%d routes move, %d times by each of us, %s and %s", count, 4*r.Size.Repeats, peerBatch, peerGroup)
	batch, group, err := k.failover(ctx, count, 4*r.Size.Repeats)
	if err != nil {
		return fmt.Errorf("failover: %w", err)
	}
	emit(batch.Median(Area, "failover-10k", measure.Milliseconds, peerBatch))
	emit(group.Median(Area, "failover-10k-vs-group", measure.Milliseconds, peerGroup))
	return nil
}

// load measures all that is about one number of routes.
func (k *kernel) load(ctx context.Context, r *rig.Rig, l load, emit func(measure.Row)) error {
	routes := generate(l.count / r.Size.Shrink)
	repeats := l.often * r.Size.Repeats
	r.Note("%d routes, %d times by each of us, %s and %s", len(routes), repeats, peerBatch, peerOneCall)
	t, err := k.tables(ctx, l, routes, repeats)
	if err != nil {
		return err
	}
	r.Note("%d routes learned, %d times by each of us, %s and %s", len(routes), r.Size.Repeats, peerBIRD, peerFRR)
	n, err := learners(ctx, r, l, routes)
	if err != nil {
		return err
	}
	install := "install-" + l.name
	beside := func(peer string, sample measure.Sample) measure.Row {
		return measure.Pair{Ours: t.ours, Peer: sample}.Median(Area, install, measure.RoutesPerSecond, peer)
	}
	named := func(row measure.Row, name string) { row.Name = name; emit(row) }
	named(beside(peerBatch, t.batch), install)
	named(beside(peerOneCall, t.oneCall), install+"-vs-one-call")
	named(beside(peerBIRD, n.bird.rate), install+"-vs-bird")
	named(beside(peerFRR, n.frr.rate), install+"-vs-frr")
	if l.compare {
		emit(measure.Pair{Ours: t.compare, Peer: t.show}.Median(Area, "compare-"+l.name, measure.Milliseconds, peerShow))
	}
	if !l.all {
		return nil
	}
	fastest := beside(peerBatch, t.batch)
	for _, row := range []measure.Row{beside(peerOneCall, t.oneCall), beside(peerBIRD, n.bird.rate), beside(peerFRR, n.frr.rate)} {
		if *row.PeerValue > *fastest.PeerValue {
			fastest = row
		}
	}
	named(fastest, install+"-vs-fastest-peer")
	emit(measure.Pair{Ours: t.compare, Peer: t.dump}.Median(Area, "compare-"+l.name+"-vs-dump", measure.Milliseconds, peerDump))
	emit(measure.Row{Area: Area, Name: "compare-" + l.name + "-memory", Value: t.memory.Median(), Unit: measure.Mebibytes})
	for _, v := range []struct {
		name, peer string
		sample     measure.Sample
	}{{"-vs-learn", peerLearn, n.speaker.took}, {"-vs-bird", peerBIRD, n.bird.took}, {"-vs-frr", peerFRR, n.frr.took}} {
		emit(measure.Pair{Ours: n.agent.took, Peer: v.sample}.Median(Area, "learn-"+install+v.name, measure.Milliseconds, v.peer))
	}
	emit(measure.Pair{Ours: n.agent.rss, Peer: n.bird.rss}.Median(Area, "agent-rss-"+l.name, measure.Mebibytes, peerBIRD))
	emit(measure.Pair{Ours: n.agent.rss, Peer: n.frr.rss}.Median(Area, "agent-rss-"+l.name+"-vs-frr", measure.Mebibytes, peerFRR))
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
