package node

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/bgp"
)

// Reporter writes the node's NodeState, on change and no more often than Interval,
// and renews the Lease that says so.
type Reporter struct {
	Client client.Client
	Node   string
	// Namespace is the Lease's.
	Namespace string
	// Interval between two writes, and before a failed one is tried again, then
	// doubled with each failure up to longestRetry.
	Interval time.Duration
	Logger   *slog.Logger

	// written is what the API server holds, nil before it was asked.
	written *v1alpha1.NodeState
	// asked is when it was.
	asked time.Time
	beat  heartbeat
}

// believed is how long what was written is believed to be there still: somebody may
// have deleted it, and no change of ours would tell.
const believed = 10 * time.Minute

// Run reports the status that newest returns, after each signal on changed,
// until ctx ends. While newest returns nil it says nothing, also not that it lives.
func (r *Reporter) Run(ctx context.Context, newest func() *v1alpha1.NodeStateStatus, changed <-chan struct{}) {
	failures := 0
	for {
		if failures == 0 {
			select {
			case <-ctx.Done():
				return
			case <-changed:
			case <-time.After(r.beat.due()):
			}
		}
		if !sleep(ctx, retryPause(r.Interval, failures)) {
			return
		}
		status := newest()
		if status == nil {
			continue
		}
		err := r.report(ctx, *status)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && failures > 0:
			r.Logger.Info("NodeState written again", "node", r.Node)
		case err != nil && failures == 0:
			r.Logger.Warn("NodeState not written, it is tried again until it is", "node", r.Node, "err", err)
		}
		if err == nil {
			failures = 0
			continue
		}
		failures++
		r.written = nil // what is there is to be read again
	}
}

// sleep returns false if ctx ends before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// report writes what is new, and renews the Lease when it is time.
func (r *Reporter) report(ctx context.Context, status v1alpha1.NodeStateStatus) error {
	err := r.write(ctx, status)
	if apierrors.IsConflict(err) { // the controller has written its condition
		r.written = nil
		err = r.write(ctx, status)
	}
	if err == nil && r.beat.due() == 0 {
		err = r.beat.renew(ctx, r.Client, r.Namespace, r.Node)
	}
	return err
}

func (r *Reporter) write(ctx context.Context, status v1alpha1.NodeStateStatus) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if r.written == nil || time.Since(r.asked) > believed {
		s, err := r.fetch(ctx)
		if err != nil {
			return err
		}
		r.written, r.asked = s, time.Now()
	}
	next := r.written.DeepCopy()
	next.Status = fit(status)
	next.Status.Conditions = dated(r.written.Status.Conditions, status.Conditions)
	if equality.Semantic.DeepEqual(next.Status, r.written.Status) {
		return nil
	}
	if err := r.Client.Status().Update(ctx, next); err != nil {
		return fmt.Errorf("update NodeState/%s status: %w", r.Node, err)
	}
	r.written = next
	return nil
}

func (r *Reporter) fetch(ctx context.Context) (*v1alpha1.NodeState, error) {
	s := &v1alpha1.NodeState{}
	err := r.Client.Get(ctx, client.ObjectKey{Name: r.Node}, s)
	if apierrors.IsNotFound(err) {
		s = &v1alpha1.NodeState{ObjectMeta: metav1.ObjectMeta{Name: r.Node}}
		if err := r.Client.Create(ctx, s); err != nil {
			return nil, fmt.Errorf("create NodeState/%s: %w", r.Node, err)
		}
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get NodeState/%s: %w", r.Node, err)
	}
	return s, nil
}

// fit cuts the lists to what the API takes, since a status that is too long
// would never be written at all. Sessions that are down are kept before those that are up.
// The sums and conditions are about all of them.
func fit(st v1alpha1.NodeStateStatus) v1alpha1.NodeStateStatus {
	if len(st.Sessions) > v1alpha1.MaxSessions {
		all := slices.Clone(st.Sessions)
		slices.SortStableFunc(all, func(a, b v1alpha1.SessionStatus) int {
			return cmp.Compare(up(a), up(b))
		})
		st.Sessions = all[:v1alpha1.MaxSessions]
		slices.SortFunc(st.Sessions, compareSession)
	}
	st.Blocks = st.Blocks[:min(len(st.Blocks), v1alpha1.MaxBlocks)]
	st.ReleasedBlocks = st.ReleasedBlocks[:min(len(st.ReleasedBlocks), v1alpha1.MaxReleasedBlocks)]
	st.WantedBlocks = st.WantedBlocks[:min(len(st.WantedBlocks), v1alpha1.MaxWantedBlocks)]
	return st
}

func up(s v1alpha1.SessionStatus) int {
	if s.State == bgp.Established {
		return 1
	}
	return 0
}

// dated gives each condition the time of its last transition. The controller's
// stays as it is.
func dated(was, is []metav1.Condition) []metav1.Condition {
	out := make([]metav1.Condition, 0, len(is)+1)
	for _, c := range was {
		if c.Type == v1alpha1.ConditionAgentReachable || meta.FindStatusCondition(is, c.Type) != nil {
			out = append(out, c)
		}
	}
	for _, c := range is {
		meta.SetStatusCondition(&out, c)
	}
	return out
}
