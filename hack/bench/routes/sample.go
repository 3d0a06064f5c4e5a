package routes

import (
	"context"
	"net/netip"
	"time"

	"fairlead.dev/dataplane"
	"fairlead.dev/hack/bench/learn"
	"fairlead.dev/hack/bench/measure"
	"fairlead.dev/hack/bench/rig"
)

// tables is what was measured of whole tables: routes a second, milliseconds, MiB.
type tables struct {
	ours, batch, oneCall measure.Sample
	compare, show, dump  measure.Sample
	memory               measure.Sample
}

// tables does everything in turns: the table is empty before each installation
// and whole in each comparison.
func (k *kernel) tables(ctx context.Context, l load, routes []dataplane.Route, repeats int) (t tables, err error) {
	if err := k.writeBatch("add", routes); err != nil {
		return t, err
	}
	d, err := k.newDumper()
	if err != nil {
		return t, err
	}
	defer d.close()
	for range repeats {
		for _, v := range []struct {
			sample *measure.Sample
			do     func() (time.Duration, error)
		}{
			{&t.batch, func() (time.Duration, error) { return k.batch(ctx, len(routes)) }},
			{&t.oneCall, func() (time.Duration, error) { return k.oneCall(routes) }},
			{&t.ours, func() (time.Duration, error) { return k.apply(routes) }},
		} {
			if err := k.clean(); err != nil {
				return t, err
			}
			took, err := v.do()
			if err != nil {
				return t, err
			}
			*v.sample = append(*v.sample, float64(len(routes))/took.Seconds())
		}
		if err := k.whole(ctx, l, routes, d, &t); err != nil {
			return t, err
		}
	}
	return t, k.clean()
}

// whole looks at a whole table in all ways.
func (k *kernel) whole(ctx context.Context, l load, routes []dataplane.Route, d *dumper, t *tables) error {
	if !l.compare {
		return nil
	}
	took, err := k.apply(routes)
	if err != nil {
		return err
	}
	t.compare.Add(took)
	if took, err = k.show(ctx, len(routes)); err != nil {
		return err
	}
	t.show.Add(took)
	if took, _, err = d.dump(); err != nil {
		return err
	}
	t.dump.Add(took)
	if !l.all {
		return nil
	}
	mib, err := k.compareMemory(len(routes))
	t.memory = append(t.memory, mib)
	return err
}

// learned is what was measured of one learner: milliseconds, routes a second,
// MiB.
type learned struct{ took, rate, rss measure.Sample }

type learnerSamples struct{ agent, speaker, bird, frr learned }

// learners has each learn the routes, in turns; ours of the largest number only.
func learners(ctx context.Context, r *rig.Rig, l load, routes []dataplane.Route) (n learnerSamples, err error) {
	prefixes := make([]netip.Prefix, len(routes))
	for i := range routes {
		prefixes[i] = routes[i].Prefix
	}
	for range r.Size.Repeats {
		for _, v := range []struct {
			who learn.Who
			to  *learned
			all bool
		}{{learn.BIRD, &n.bird, false}, {learn.FRR, &n.frr, false}, {learn.Speaker, &n.speaker, true}, {learn.Agent, &n.agent, true}} {
			if v.all && !l.all {
				continue
			}
			o, err := learn.Measure(ctx, r, v.who, prefixes)
			if err != nil {
				return n, err
			}
			v.to.took.Add(o.Took)
			v.to.rate = append(v.to.rate, float64(len(routes))/o.Installing.Seconds())
			v.to.rss = append(v.to.rss, o.RSS)
		}
	}
	return n, nil
}
