package routes

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"fairlead.dev/dataplane"
	"fairlead.dev/hack/bench/measure"
	"fairlead.dev/hack/bench/rig"
)

// routers are two next hops, between which routes move.
func routers() [2]string { return [2]string{router, "192.0.2.253"} }

// bound is how long anything here may take.
const bound = time.Minute

// failover moves the routes from one next hop to the other and back, in turns: by
// our table, by ip -batch, and as many that name a nexthop group by replacing
// it. It is over when the kernel has told of the last route, and of the group,
// which is one change for all of its routes, when the program that asks for it
// has ended.
func (k *kernel) failover(ctx context.Context, count, repeats int) (batch, group measure.Pair, err error) {
	tally, err := rig.Count(k.ns)
	if err != nil {
		return batch, group, err
	}
	defer tally.Close()
	if err := k.makeGroup(ctx, count); err != nil {
		return batch, group, err
	}
	for i := range repeats {
		to := routers()[(i+1)%2]
		took, err := k.moveGroup(ctx, to)
		if err != nil {
			return batch, group, err
		}
		group.Peer.Add(took)
	}
	if err := k.dropGroup(ctx); err != nil {
		return batch, group, err
	}
	if _, err := k.apply(generate(count)); err != nil {
		return batch, group, err
	}
	there := via(count, routers()[1])
	if err := k.writeBatch("replace", generate(count)); err != nil {
		return batch, group, err
	}
	for range repeats {
		// Ours there and ip -batch back, so that both find the table that the other left.
		took, err := move(ctx, tally, count, func() error { _, err := k.apply(there); return err })
		if err != nil {
			return batch, group, fmt.Errorf("apply: %w", err)
		}
		batch.Ours.Add(took)
		took, err = move(ctx, tally, count, func() error { _, err := rig.Run(ctx, k.ns, "ip", "-batch", k.file); return err })
		if err != nil {
			return batch, group, fmt.Errorf("%s: %w", peerBatch, err)
		}
		batch.Peer.Add(took)
	}
	group.Ours = batch.Ours
	return batch, group, k.clean()
}

// move is the time from an order until the kernel has told of the last route.
func move(ctx context.Context, tally *rig.Tally, count int, order func() error) (time.Duration, error) {
	tally.Reset()
	start := time.Now()
	if err := order(); err != nil {
		return 0, err
	}
	_, last, err := tally.Wait(ctx, bound, count)
	return last.Sub(start), err
}

// via is generate with another next hop.
func via(count int, hop string) []dataplane.Route {
	routes := generate(count)
	hops := []netip.Addr{netip.MustParseAddr(hop)}
	for i := range routes {
		routes[i].NextHops = hops
	}
	return routes
}

// makeGroup makes routes that name a nexthop group.
func (k *kernel) makeGroup(ctx context.Context, count int) error {
	var b bytes.Buffer
	for i, hop := range routers() {
		fmt.Fprintf(&b, "nexthop add id %d via %s dev uplink\n", 1+i, hop)
	}
	b.WriteString("nexthop add id 10 group 1\n")
	for _, r := range generate(count) {
		fmt.Fprintf(&b, "route add %s nhid 10 proto static\n", r.Prefix)
	}
	if err := os.WriteFile(k.file, b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write batch: %w", err)
	}
	// With it the kernel would tell of each route that a group's change moves.
	if _, err := rig.Run(ctx, k.ns, "sysctl", "-qw", "net.ipv4.nexthop_compat_mode=0"); err != nil {
		return err
	}
	_, err := rig.Run(ctx, k.ns, "ip", "-batch", k.file)
	return err
}

// moveGroup replaces the group by the one with this next hop, and looks at what
// the last route uses.
func (k *kernel) moveGroup(ctx context.Context, hop string) (time.Duration, error) {
	id := map[string]string{routers()[0]: "1", routers()[1]: "2"}[hop]
	start := time.Now()
	if _, err := rig.Run(ctx, k.ns, "ip", "nexthop", "replace", "id", "10", "group", id); err != nil {
		return 0, err
	}
	took := time.Since(start)
	out, err := rig.Run(ctx, k.ns, "ip", "route", "get", generate(1)[0].Prefix.Addr().Next().String())
	if err == nil && !strings.Contains(out, "via "+hop) {
		err = fmt.Errorf("replace a nexthop group: the route is %s", strings.TrimSpace(out))
	}
	return took, err
}

// dropGroup removes what makeGroup made.
func (k *kernel) dropGroup(ctx context.Context) error {
	_, err := rig.Run(ctx, k.ns, "ip", "nexthop", "flush")
	return err
}
