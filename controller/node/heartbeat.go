package node

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
)

const (
	// leaseDuration is after what time without a renewal the controller says that
	// the agent does not answer: that of a kubelet's Lease.
	leaseDuration = 40 * time.Second
	// beatInterval is the most between two renewals, of which one may be lost.
	beatInterval = leaseDuration / 3
)

// heartbeat renews the agent's Lease. It belongs to the Reporter: the Lease says
// that the NodeState is what the agent has to tell, and so is renewed only while
// that is written.
type heartbeat struct{ next time.Time }

// due is in what time to renew next.
func (h *heartbeat) due() time.Duration { return max(0, time.Until(h.next)) }

// renew renews the Lease, or makes it where there is none.
func (h *heartbeat) renew(ctx context.Context, c client.Client, namespace, node string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	seconds, now := int32(leaseDuration/time.Second), metav1.NowMicro()
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: v1alpha1.AgentLeaseName(node)},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &node, LeaseDurationSeconds: &seconds, RenewTime: &now},
	}
	spec, err := json.Marshal(map[string]any{"spec": lease.Spec})
	if err != nil {
		return fmt.Errorf("encode Lease/%s: %w", lease.Name, err)
	}
	err = c.Patch(ctx, lease.DeepCopy(), client.RawPatch(types.MergePatchType, spec))
	if apierrors.IsNotFound(err) {
		err = c.Create(ctx, lease)
	}
	if err != nil {
		return fmt.Errorf("renew Lease/%s: %w", lease.Name, err)
	}
	// Jittered, so that agents that were started at once do not stay in step.
	h.next = time.Now().Add(beatInterval - rand.N(beatInterval/4))
	return nil
}

// Status is what the newest view reports; nil before the first sync, and when the
// last is so long ago that the loop must be stuck: nobody is to take the report for
// the present state then.
func (a *Agent) Status() *v1alpha1.NodeStateStatus {
	v := a.view.Load()
	if v == nil || time.Since(v.At) > 2*a.opts.ResyncInterval+stuckAfter {
		return nil
	}
	return &v.State
}

// stuckAfter is more than any sync takes.
const stuckAfter = time.Minute
