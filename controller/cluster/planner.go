package cluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
)

// claim brings the AddressPlan up to date and returns its entries, read live:
// an older plan could name a range that has changed hands since. It also
// returns when the next entry may go.
func (l *leaser) claim(ctx context.Context, s *State, pools []*pool) ([]v1alpha1.AddressPlanEntry, time.Duration, error) {
	plan, err := l.livePlan(ctx)
	if err != nil {
		return nil, 0, err
	}
	decided := decideClaims(pools, plan.Spec.Entries, s.Blocks)
	l.retired.update(s.Now, decided.gone)
	over, next := l.retired.due(s.Now, l.cooling)
	ends := func(e v1alpha1.AddressPlanEntry) bool { return over[e.PoolUID] }
	if len(decided.add) == 0 && !slices.ContainsFunc(decided.orphans, ends) {
		return plan.Spec.Entries, next, nil
	}
	changed, err := l.amend(ctx, plan, pools, over)
	if err != nil {
		return plan.Spec.Entries, next, err
	}
	return changed, next, nil
}

// amend decides again on live blocks and pools, and writes the plan by
// compare-and-swap. It returns the entries that now hold.
func (l *leaser) amend(ctx context.Context, plan *v1alpha1.AddressPlan, pools []*pool, over map[string]bool) ([]v1alpha1.AddressPlanEntry, error) {
	blocks, err := liveBlocks(ctx, l.live)
	if err != nil {
		return nil, err
	}
	before := plan.Spec.Entries
	decided := decideClaims(pools, before, blocks)
	entries := slices.Clone(before)
	for _, e := range decided.orphans {
		if !over[e.PoolUID] {
			continue
		}
		exists, err := l.poolExists(ctx, e.PoolName, types.UID(e.PoolUID))
		if err != nil {
			return nil, err
		}
		if !exists {
			entries = slices.DeleteFunc(entries, func(x v1alpha1.AddressPlanEntry) bool { return x == e })
		}
	}
	// What was refused for the sake of a retired entry is granted by the next
	// pass, which this write's event brings.
	entries = append(entries, decided.add...)
	if slices.Equal(entries, before) {
		return before, nil
	}
	plan = plan.DeepCopy()
	plan.Spec.Entries = entries
	write := l.client.Update
	verb := "update"
	if plan.ResourceVersion == "" {
		plan.ObjectMeta = metav1.ObjectMeta{Name: v1alpha1.AddressPlanName}
		write, verb = func(ctx context.Context, o client.Object, _ ...client.UpdateOption) error {
			return l.client.Create(ctx, o)
		}, "create"
	}
	switch err := write(ctx, plan); {
	case stale(err):
		return before, nil // another leader was faster: its change wakes us
	case err != nil:
		return nil, fmt.Errorf("%s AddressPlan: %w", verb, err)
	}
	l.log.Info("address plan changed", "before", len(before), "now", len(entries))
	return entries, nil
}

// livePlan reads the AddressPlan; an empty one without resourceVersion when
// there is none.
func (l *leaser) livePlan(ctx context.Context) (*v1alpha1.AddressPlan, error) {
	plan := &v1alpha1.AddressPlan{}
	err := l.live.Get(ctx, client.ObjectKey{Name: v1alpha1.AddressPlanName}, plan)
	switch {
	case apierrors.IsNotFound(err):
		return &v1alpha1.AddressPlan{}, nil
	case err != nil:
		return nil, fmt.Errorf("get AddressPlan: %w", err)
	}
	return plan, nil
}

// poolExists asks the API server whether the pool of this UID is there.
func (l *leaser) poolExists(ctx context.Context, name string, uid types.UID) (bool, error) {
	p, err := l.livePool(ctx, name)
	return p != nil && p.UID == uid, err
}

// livePool reads a pool, nil when there is none.
func (l *leaser) livePool(ctx context.Context, name string) (*v1alpha1.IPPool, error) {
	p := &v1alpha1.IPPool{}
	switch err := l.live.Get(ctx, client.ObjectKey{Name: name}, p); {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("get IPPool %s: %w", name, err)
	}
	return p, nil
}
