package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
)

// watchman is the pass that owns the condition AgentReachable, and nothing else
// of a NodeState. It opens Nodes to pods by what it hears (open.go).
type watchman struct {
	client    client.Client
	live      client.Reader
	namespace string // of the Leases
	pulses    *pulses
	metrics   *metrics
	log       *slog.Logger
}

func (w *watchman) run(ctx context.Context, s *State) (time.Duration, error) {
	w.pulses.forgetGone(s)
	decided, next := decideReach(s, w.pulses)
	if fallsSilent(s, decided) {
		// Bad news is decided on a live read: the watch may lag, or we may be the
		// ones who are cut off.
		if err := w.listen(ctx); err != nil {
			return 0, err
		}
		s.Now = time.Now()
		decided, next = decideReach(s, w.pulses)
	}
	w.metrics.unheard.Set(float64(unheard(s, decided)))
	errs := make([]error, len(s.NodeStates))
	var group errgroup.Group
	group.SetLimit(writers)
	for i := range s.NodeStates {
		n := &s.NodeStates[i]
		c, known := decided[n.Name]
		if !known || sameReach(n, c) {
			continue
		}
		group.Go(func() error {
			errs[i] = w.say(ctx, n, c, s.Now)
			return nil
		})
	}
	_ = group.Wait() // errors are collected by node
	return next, errors.Join(append(errs, w.open(ctx, decideOpen(s, decided)))...)
}

// unheard counts the agents that are not heard of: as decided, and where nothing
// is known yet as was said before.
func unheard(s *State, decided map[string]metav1.Condition) (count int) {
	for i := range s.NodeStates {
		n := &s.NodeStates[i]
		if c, known := decided[n.Name]; known && c.Status != metav1.ConditionTrue || !known && !reachable(n) {
			count++
		}
	}
	return count
}

// fallsSilent says whether an agent is about to be called silent that was not yet.
func fallsSilent(s *State, decided map[string]metav1.Condition) bool {
	return slices.ContainsFunc(s.NodeStates, func(n v1alpha1.NodeState) bool {
		c, known := decided[n.Name]
		return known && c.Status != metav1.ConditionTrue && reachable(&n)
	})
}

// listen takes in the Leases as the API server has them now.
func (w *watchman) listen(ctx context.Context) error {
	var l coordinationv1.LeaseList
	if err := w.live.List(ctx, &l, client.InNamespace(w.namespace)); err != nil {
		w.pulses.forgive(time.Now())
		return fmt.Errorf("list Leases of agents: %w", err)
	}
	for i := range l.Items {
		if ofAgent(&l.Items[i]) {
			w.pulses.note(&l.Items[i], time.Now(), false)
		}
	}
	return nil
}

// say applies the one condition. Server-side apply merges it by type, so that it
// and what the agent writes do not get into each other's way.
func (w *watchman) say(ctx context.Context, n *v1alpha1.NodeState, c metav1.Condition, now time.Time) error {
	conditions := slices.Clone(n.Status.Conditions)
	setConditions(&conditions, now, c)
	entry, err := runtime.DefaultUnstructuredConverter.ToUnstructured(meta.FindStatusCondition(conditions, c.Type))
	if err != nil {
		return fmt.Errorf("encode condition of NodeState %s: %w", n.Name, err)
	}
	o := &unstructured.Unstructured{Object: map[string]any{"status": map[string]any{"conditions": []any{entry}}}}
	o.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("NodeState"))
	o.SetName(n.Name)
	err = w.client.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(o), client.FieldOwner(Name), client.ForceOwnership)
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("apply condition %s to NodeState %s: %w", c.Type, n.Name, err)
	}
	w.log.Info("agent reachability changed", "node", n.Name, "reachable", string(c.Status), "reason", c.Reason)
	return nil
}

// byReach wakes when a NodeState comes or goes, is another Node's, when its
// condition was changed by anybody, or when the node may have become ready.
func byReach() watch {
	return changed(&v1alpha1.NodeState{}, func(a, b *v1alpha1.NodeState) bool {
		find := func(n *v1alpha1.NodeState) metav1.Condition {
			if c := meta.FindStatusCondition(n.Status.Conditions, v1alpha1.ConditionAgentReachable); c != nil {
				return *c
			}
			return metav1.Condition{}
		}
		differs := func(kind string) bool {
			return meta.IsStatusConditionTrue(a.Status.Conditions, kind) != meta.IsStatusConditionTrue(b.Status.Conditions, kind)
		}
		return a.Status.NodeUID != b.Status.NodeUID || a.Status.BootID != b.Status.BootID || find(a) != find(b) ||
			differs(v1alpha1.ConditionReady) || differs(v1alpha1.ConditionCNIConfigured) || len(a.Status.Blocks) != len(b.Status.Blocks)
	})
}

// byReadiness wakes when a Node is another, its kubelet falls silent or is back, or
// when pods are kept off it in a way that is ours to end.
func byReadiness() watch {
	return changed(&corev1.Node{}, func(a, b *corev1.Node) bool {
		return a.UID != b.UID || nodeReady(a) != nodeReady(b) || unavailable(a) != unavailable(b) ||
			!slices.Equal(startupTaints(a), startupTaints(b)) || a.Status.NodeInfo.BootID != b.Status.NodeInfo.BootID
	})
}
