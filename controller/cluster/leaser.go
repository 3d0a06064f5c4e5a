package cluster

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
)

// writers bounds writes under way at once that do not depend on each other.
const writers = 16

// leaser is the pass that owns AddressPlan and IPBlocks.
type leaser struct {
	client client.Client // reads are cached, writes go to the API server
	live   client.Reader // reads from the API server
	// namespace is that of the agents' Leases.
	namespace string
	grace     time.Duration
	cooling   time.Duration
	events    events.EventRecorder
	metrics   *metrics
	log       *slog.Logger

	missing since // nodes, by name
	retired since // pools that still have an AddressPlan entry, by UID
	// starved and limited are who was told already that there is no block for them.
	starved, limited map[holder]bool
	// learnt are blocks that were created, here or by another leader, and that
	// the cache may not show yet.
	learnt learnt
}

func (l *leaser) run(ctx context.Context, s *State) (time.Duration, error) {
	l.learnt.merge(s)
	l.missing.update(s.Now, s.gone())
	gone, nextGone := l.missing.due(s.Now, l.grace)

	pools := readPools(s)
	entries, nextRetired, err := l.claim(ctx, s, pools)
	leaseErr := l.lease(ctx, s, pools, entries)
	changes, nextLife := decideLife(s, gone, l.cooling)
	err = errors.Join(err, leaseErr, l.turn(ctx, changes), l.clean(ctx, s, gone))
	l.metrics.observeBlocks(s.Blocks)
	return earliest(nextGone, nextRetired, nextLife), err
}

// lease gives each waiting node its blocks. Pools are independent of each other;
// within one the order is the lock's, see the package's documentation.
func (l *leaser) lease(ctx context.Context, s *State, pools []*pool, entries []v1alpha1.AddressPlanEntry) error {
	results := make([]poolRun, len(pools))
	var group errgroup.Group
	group.SetLimit(writers)
	for i, p := range pools {
		if len(p.waiting)+len(p.adoptions) == 0 || !p.leases() || !holdsRange(p, entries) {
			continue
		}
		group.Go(func() error {
			if p.adopts() {
				results[i] = l.leaseAdopted(ctx, p)
				return nil
			}
			results[i] = l.leasePool(ctx, p, s.Blocks)
			return nil
		})
	}
	_ = group.Wait() // errors are in the results
	var errs []error
	starved, limited := map[holder]bool{}, map[holder]bool{}
	refusals := 0
	for i, r := range results {
		p := pools[i]
		refusals += len(p.refusals)
		errs = append(errs, r.err)
		l.learnt.add(r.learnt)
		tell(p, r.starved, l.starved, starved, l.reportStarved)
		if p.leases() && holdsRange(p, entries) {
			tell(p, p.limited, l.limited, limited, l.reportLimited)
		}
	}
	l.starved, l.limited = starved, limited
	l.metrics.waiting.Set(float64(len(starved) + refusals))
	l.metrics.limited.Set(float64(len(limited)))
	return errors.Join(errs...)
}

// tell reports each node that was not among those told before.
func tell(p *pool, nodes []*corev1.Node, before, now map[holder]bool, report func(*pool, *corev1.Node)) {
	for _, node := range nodes {
		at := holder{string(p.UID), node.Name}
		now[at] = true
		if !before[at] {
			report(p, node)
		}
	}
}

// holdsRange says whether the AddressPlan gives the pool what it carves.
func holdsRange(p *pool, entries []v1alpha1.AddressPlanEntry) bool {
	return slices.ContainsFunc(entries, func(e v1alpha1.AddressPlanEntry) bool {
		return e.PoolUID == string(p.UID) && e.CIDR == p.Spec.CIDR && int(e.BlockSize) == p.carve.BlockSize()
	})
}
