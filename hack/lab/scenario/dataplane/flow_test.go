package dataplane

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/sync/errgroup"

	"fairlead.dev/dataplane/nstest"
	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/flow"
)

// enough is how many packets are to come before and after a change: a quarter of a
// second of a flow.
const enough = 2500

// load is a set of flows of 10,000 packets a second each.
type load struct {
	s     *scene
	flows map[string]*flow.Flow
}

// pair of pods, of which the first sends to the second.
type pair struct{ from, to lab.Pod }

// ns is a role's namespace.
func (s *scene) ns(role string) nstest.NS { return nstest.NS{Name: s.NSName(role)} }

// start starts a flow of each family between each pair and returns once all run.
func (s *scene) start(t *testing.T, pairs ...pair) *load {
	t.Helper()
	l := &load{s: s, flows: map[string]*flow.Flow{}}
	for _, p := range pairs {
		for _, f := range families() {
			l.add(t, fmt.Sprintf("%s to %s, %s", p.from.Name, p.to.Name, f), flow.Way{
				From: s.ns(p.from.Role()), To: s.ns(p.to.Role()), Target: netip.AddrPortFrom(p.to.Address(f), 0),
			})
		}
	}
	l.more(t, enough)
	return l
}

// add starts one more flow, once its way is known to the neighbours on it.
func (l *load) add(t *testing.T, name string, way flow.Way) {
	t.Helper()
	l.s.trickle(t, name, way)
	// It ends with the scenario, however that ends.
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(stop)
	f, err := flow.Start(ctx, way)
	if err != nil {
		t.Fatal(err)
	}
	l.flows[name] = f
}

// trickle waits until a packet of a flow comes through.
func (s *scene) trickle(t *testing.T, name string, way flow.Way) {
	t.Helper()
	s.eventually(t, "a packet from "+name, func(ctx context.Context) error {
		count, err := flow.Probe(ctx, way)
		if err == nil && count.Received == 0 {
			err = fmt.Errorf("%v", count)
		}
		return err
	})
}

// more waits until so many packets more have come on each flow.
func (l *load) more(t *testing.T, packets int64) {
	t.Helper()
	g, ctx := errgroup.WithContext(t.Context())
	for _, f := range l.flows {
		g.Go(func() error { return f.Await(ctx, packets) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

// stop ends the flows and tells what each counted.
func (l *load) stop(t *testing.T) map[string]flow.Count {
	t.Helper()
	counts := map[string]flow.Count{}
	for name, f := range l.flows {
		c, err := f.Stop()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %v", name, c)
		counts[name] = c
	}
	return counts
}

// stopWithoutLoss ends the flows, on which no packet may be lost but by the
// machine's own queues, or come twice, and after each of some changes no more may
// be overtaken than were on their way.
func (l *load) stopWithoutLoss(t *testing.T, changes int) {
	t.Helper()
	l.more(t, enough)
	for name, c := range l.stop(t) {
		if c.Lost() > c.Overrun || c.Duplicated != 0 || c.Reordered > changes*flow.InFlight || c.Refused != nil {
			t.Errorf("%s: %v", name, c)
		}
	}
}

// quiet is what the other scenarios' flows are compared with: the same without a change.
func (s *scene) quiet(t *testing.T) {
	l := s.start(t, pair{s.a, s.b}, pair{s.a, s.c})
	l.more(t, 4*enough)
	l.stopWithoutLoss(t, 0)
}
