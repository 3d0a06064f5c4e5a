package cluster

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"fairlead.dev/api/v1alpha1"
)

const (
	// slowest is the most that a pass waits for more events, however long
	// passes take.
	slowest = 2 * time.Second
	// resync is how often a pass runs without an event, against what no watch
	// tells: a clock, a lost event.
	resync = 5 * time.Minute
	// restFactor is how much longer a pass rests than listing took.
	restFactor = 10
	// retryMax bounds the backoff of a pass that fails.
	retryMax = 30 * time.Second
)

// pass is one reconciler of the whole cluster behind one key.
type pass struct {
	name string
	// interval is how long a first event waits for others. In a big cluster it
	// is restFactor times as long as listing takes instead, so that events
	// without end keep no core busy.
	interval time.Duration
	// watches are the kinds that wake it, each with what it cares about.
	watches []watch
	// run returns when to run again without an event; 0 is at the resync.
	run func(context.Context, *State) (time.Duration, error)

	cached  client.Reader
	metrics *metrics
	listed  durationCell
}

type watch struct {
	object client.Object
	wakes  predicate.Predicate
}

// register makes the manager run the pass.
func (p *pass) register(mgr ctrl.Manager) error {
	unnamed := true // several controllers of these names may run in one process
	b := builder.ControllerManagedBy(mgr).Named(p.name).WithOptions(controller.Options{
		SkipNameValidation: &unnamed,
		RateLimiter:        workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](100*time.Millisecond, retryMax),
	})
	for _, w := range p.watches {
		b = b.Watches(w.object, p.squash(), builder.WithPredicates(w.wakes))
	}
	if err := b.Complete(reconcile.Func(p.reconcile)); err != nil {
		return fmt.Errorf("register pass %s: %w", p.name, err)
	}
	return nil
}

func (p *pass) reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	start := time.Now()
	s, err := observe(ctx, p.cached)
	if err != nil {
		return reconcile.Result{}, err
	}
	p.listed.set(time.Since(start))
	again, err := p.run(ctx, s)
	p.metrics.passSeconds.WithLabelValues(p.name).Observe(time.Since(start).Seconds())
	if err != nil {
		return reconcile.Result{}, err
	}
	if again <= 0 || again > resync {
		again = wait.Jitter(resync, 0.2)
	}
	return reconcile.Result{RequeueAfter: max(again, p.interval)}, nil
}

// squash turns every event into the one key, after a rest.
func (p *pass) squash() handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	add := func(q queue) {
		rest := min(max(p.interval, restFactor*p.listed.get()), slowest)
		q.AddAfter(reconcile.Request{NamespacedName: client.ObjectKey{Name: p.name}}, rest)
	}
	return handler.Funcs{
		CreateFunc:  func(_ context.Context, _ event.CreateEvent, q queue) { add(q) },
		UpdateFunc:  func(_ context.Context, _ event.UpdateEvent, q queue) { add(q) },
		DeleteFunc:  func(_ context.Context, _ event.DeleteEvent, q queue) { add(q) },
		GenericFunc: func(_ context.Context, _ event.GenericEvent, q queue) { add(q) },
	}
}

// changed wakes on creation, deletion, and updates that different says matter.
func changed[T client.Object](object T, different func(a, b T) bool) watch {
	return watch{object, predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		a, okA := e.ObjectOld.(T)
		b, okB := e.ObjectNew.(T)
		return !okA || !okB || different(a, b)
	}}}
}

// every wakes on every event of a kind.
func every(object client.Object) watch { return watch{object, predicate.Funcs{}} }

// bySpec wakes when what the user wrote changes, or deletion begins.
func bySpec(object client.Object) watch {
	return changed(object, func(a, b client.Object) bool {
		return a.GetGeneration() != b.GetGeneration() || a.GetUID() != b.GetUID() ||
			(a.GetDeletionTimestamp() == nil) != (b.GetDeletionTimestamp() == nil)
	})
}

// byNode wakes when what Fairlead reads of a Node changes: not on heartbeats.
func byNode() watch {
	return changed(&corev1.Node{}, func(a, b *corev1.Node) bool {
		return a.UID != b.UID || !maps.Equal(a.Labels, b.Labels) ||
			!slices.Equal(a.Status.Addresses, b.Status.Addresses) || !slices.Equal(a.Spec.PodCIDRs, b.Spec.PodCIDRs) ||
			(a.DeletionTimestamp == nil) != (b.DeletionTimestamp == nil)
	})
}

// byNeed wakes when an agent reports other blocks released, closed or wanted.
func byNeed() watch {
	return changed(&v1alpha1.NodeState{}, func(a, b *v1alpha1.NodeState) bool {
		return a.Status.NodeUID != b.Status.NodeUID || !slices.Equal(a.Status.ReleasedBlocks, b.Status.ReleasedBlocks) ||
			!slices.Equal(a.Status.WantedBlocks, b.Status.WantedBlocks) || !slices.Equal(closedBlocks(a), closedBlocks(b))
	})
}

// closedBlocks are the UIDs of the blocks that an agent has closed, with no
// address of them in use.
func closedBlocks(n *v1alpha1.NodeState) []string {
	var out []string
	for _, b := range n.Status.Blocks {
		if b.Closed && b.Used == 0 {
			out = append(out, b.UID)
		}
	}
	return out
}

// byReport wakes when a NodeState says something else.
func byReport() watch {
	return changed(&v1alpha1.NodeState{}, func(a, b *v1alpha1.NodeState) bool {
		return !reflect.DeepEqual(a.Status, b.Status)
	})
}
