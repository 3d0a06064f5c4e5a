package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
)

// turn applies the changes of blocks that still hold when read live.
func (l *leaser) turn(ctx context.Context, changes []transition) error {
	doubt := newWitness(l)
	errs := make([]error, len(changes))
	var group errgroup.Group
	group.SetLimit(writers)
	for i, t := range changes {
		group.Go(func() error {
			holds, err := doubt.confirms(ctx, t)
			if err == nil && holds {
				err = l.write(ctx, t)
			}
			errs[i] = err
			return nil
		})
	}
	_ = group.Wait() // errors are collected by change
	return errors.Join(errs...)
}

// write changes or deletes one block, unless it changed since it was decided on.
func (l *leaser) write(ctx context.Context, t transition) error {
	var err error
	became := "Deleted"
	if t.next == nil {
		err = l.client.Delete(ctx, t.block, client.Preconditions{UID: &t.block.UID, ResourceVersion: &t.block.ResourceVersion})
	} else {
		became = string(t.next.State)
		next := t.block.DeepCopy()
		next.Spec = *t.next
		err = l.client.Update(ctx, next)
	}
	switch {
	case stale(err):
		return nil
	case err != nil:
		return fmt.Errorf("change IPBlock %s to %s since %s: %w", t.block.Spec.CIDR, became, t.cause, err)
	}
	l.log.Info("block changed", "block", t.block.Spec.CIDR, "node", t.block.Spec.NodeName, "pool", t.block.Spec.PoolName, "state", became, "cause", string(t.cause))
	l.metrics.transitions.WithLabelValues(became).Inc()
	return nil
}

// witness asks the API server about what cannot be undone, once per pass and object.
type witness struct {
	leaser *leaser

	mu    sync.Mutex
	pools map[string]func() (*v1alpha1.IPPool, error)
	nodes map[string]func() (bool, error)
}

func newWitness(l *leaser) *witness {
	return &witness{leaser: l, pools: map[string]func() (*v1alpha1.IPPool, error){}, nodes: map[string]func() (bool, error){}}
}

// confirms says whether the cause of a change holds beyond the caches.
func (w *witness) confirms(ctx context.Context, t transition) (bool, error) {
	switch t.cause {
	case causeNodeGone:
		return w.nodeGone(ctx, t.block.Spec.NodeName)
	case causePodCIDR:
		return w.leaser.stillOtherPodCIDR(ctx, t.block)
	case causeGivenBack:
		return w.leaser.stillClosed(ctx, t.block)
	case causePoolGone, causePoolDrains:
		p, err := w.pool(ctx, t.block.Spec.PoolName)
		if err != nil {
			return false, err
		}
		return p == nil || string(p.UID) != t.block.Spec.PoolUID || p.DeletionTimestamp != nil || p.Spec.State == v1alpha1.PoolDraining, nil
	}
	return true, nil
}

func (w *witness) pool(ctx context.Context, name string) (*v1alpha1.IPPool, error) {
	w.mu.Lock()
	if w.pools[name] == nil {
		w.pools[name] = sync.OnceValues(func() (*v1alpha1.IPPool, error) { return w.leaser.livePool(ctx, name) })
	}
	ask := w.pools[name]
	w.mu.Unlock()
	return ask()
}

func (w *witness) nodeGone(ctx context.Context, name string) (bool, error) {
	w.mu.Lock()
	if w.nodes[name] == nil {
		w.nodes[name] = sync.OnceValues(func() (bool, error) { return w.leaser.nodeGone(ctx, name) })
	}
	ask := w.nodes[name]
	w.mu.Unlock()
	return ask()
}

// stillClosed asks the API server whether the node's agent says so of the block.
func (l *leaser) stillClosed(ctx context.Context, b *v1alpha1.IPBlock) (bool, error) {
	n := &v1alpha1.NodeState{}
	switch err := l.live.Get(ctx, client.ObjectKey{Name: b.Spec.NodeName}, n); {
	case apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("get NodeState %s: %w", b.Spec.NodeName, err)
	}
	return slices.Contains(closedBlocks(n), string(b.UID)), nil
}

// nodeGone asks the API server whether there is no Node of that name.
func (l *leaser) nodeGone(ctx context.Context, name string) (bool, error) {
	node := &metav1.PartialObjectMetadata{}
	node.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Node"))
	switch err := l.live.Get(ctx, client.ObjectKey{Name: name}, node); {
	case apierrors.IsNotFound(err):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("get Node %s: %w", name, err)
	}
	return false, nil
}

// clean removes the BGPNode, the NodeState and the agent's Lease of each node that
// is gone for good and has no block left. The Lease goes first: nothing else is
// asked for its sake.
func (l *leaser) clean(ctx context.Context, s *State, gone map[string]bool) error {
	names := decideLeftovers(s, gone)
	if len(names) == 0 {
		return nil
	}
	left := map[string][]client.Object{}
	for i := range s.BGPNodes {
		left[s.BGPNodes[i].Name] = append(left[s.BGPNodes[i].Name], &s.BGPNodes[i])
	}
	for i := range s.NodeStates {
		left[s.NodeStates[i].Name] = append(left[s.NodeStates[i].Name], &s.NodeStates[i])
	}
	var errs []error
	for _, name := range names {
		if len(left[name]) == 0 {
			continue
		}
		isGone, err := l.nodeGone(ctx, name)
		if err != nil || !isGone {
			errs = append(errs, err)
			continue
		}
		lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: l.namespace, Name: v1alpha1.AgentLeaseName(name)}}
		if err := l.client.Delete(ctx, lease); err != nil && !stale(err) {
			errs = append(errs, fmt.Errorf("delete Lease %s: %w", lease.Name, err))
			continue
		}
		for _, o := range left[name] {
			uid := o.GetUID()
			if err := l.client.Delete(ctx, o, client.Preconditions{UID: &uid}); err != nil && !stale(err) {
				errs = append(errs, fmt.Errorf("delete %T %s: %w", o, name, err))
				continue
			}
			l.log.Info("leftover of a gone node removed", "node", name, "kind", fmt.Sprintf("%T", o))
		}
	}
	return errors.Join(errs...)
}
