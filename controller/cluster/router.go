package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
)

// router is the pass that owns BGPNodes.
type router struct {
	client  client.Client
	events  events.EventRecorder
	log     *slog.Logger
	refused map[refusal]bool // those that were reported
}

func (r *router) run(ctx context.Context, s *State) (time.Duration, error) {
	want, refused := decideBGPNodes(s)
	r.report(s.nodesByName(), refused)
	have := make(map[string]*v1alpha1.BGPNode, len(s.BGPNodes))
	for i := range s.BGPNodes {
		have[s.BGPNodes[i].Name] = &s.BGPNodes[i]
	}
	errs := make([]error, len(want))
	var group errgroup.Group
	group.SetLimit(writers)
	for i := range want {
		current := have[want[i].Name]
		if current != nil && sameBGPNode(current, &want[i]) {
			continue
		}
		group.Go(func() error {
			errs[i] = r.write(ctx, current, &want[i])
			return nil
		})
	}
	_ = group.Wait() // errors are collected by node
	return 0, errors.Join(errs...)
}

func (r *router) write(ctx context.Context, current, want *v1alpha1.BGPNode) error {
	var err error
	if current == nil {
		err = r.client.Create(ctx, want)
	} else {
		next := current.DeepCopy()
		next.Labels, next.Spec = want.Labels, want.Spec
		err = r.client.Update(ctx, next)
	}
	switch {
	case stale(err):
		return nil
	case err != nil:
		return fmt.Errorf("write BGPNode %s: %w", want.Name, err)
	}
	r.log.Info("node's routing facts written", "node", want.Name, "asn", want.Spec.ASNumber, "routerId", want.Spec.RouterID, "addresses", want.Spec.Addresses)
	return nil
}

// report says each refusal once, for as long as it lasts.
func (r *router) report(nodes map[string]*corev1.Node, refused []refusal) {
	now := make(map[refusal]bool, len(refused))
	for _, f := range refused {
		now[f] = true
		if r.refused[f] {
			continue
		}
		r.log.Warn("node address refused", "node", f.node, "address", f.address, "err", f.why)
		r.events.Eventf(nodes[f.node], nil, corev1.EventTypeWarning, reasonAddressRefused, "Route",
			"this node may not have the address %s: %s", f.address, f.why)
	}
	r.refused = now
}
