package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// reporter is the pass that writes status, and the only place that does.
type reporter struct{ client client.Client }

func (r *reporter) run(ctx context.Context, s *State) (time.Duration, error) {
	var errs []error
	pools, peers, configs := decidePools(s), decidePeers(s), decideConfigs(s)
	for i := range s.Pools {
		if o := &s.Pools[i]; !equality.Semantic.DeepEqual(o.Status, pools[o.Name]) {
			next := o.DeepCopy()
			next.Status = pools[o.Name]
			errs = append(errs, r.write(ctx, next))
		}
	}
	for i := range s.Peers {
		if o := &s.Peers[i]; !equality.Semantic.DeepEqual(o.Status, peers[o.Name]) {
			next := o.DeepCopy()
			next.Status = peers[o.Name]
			errs = append(errs, r.write(ctx, next))
		}
	}
	for i := range s.Configs {
		if o := &s.Configs[i]; !equality.Semantic.DeepEqual(o.Status, configs[o.Name]) {
			next := o.DeepCopy()
			next.Status = configs[o.Name]
			errs = append(errs, r.write(ctx, next))
		}
	}
	return 0, errors.Join(errs...)
}

func (r *reporter) write(ctx context.Context, o client.Object) error {
	if err := r.client.Status().Update(ctx, o); err != nil && !stale(err) {
		return fmt.Errorf("write status of %T %s: %w", o, o.GetName(), err)
	}
	return nil
}
