package node_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
)

// renewed is when the agent's Lease was last renewed, and how long that holds.
func (s *server) renewed(t *testing.T) (at time.Time, holds time.Duration) {
	t.Helper()
	var l coordinationv1.Lease
	err := s.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: v1alpha1.AgentLeaseName("n1")}, &l)
	if client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
	if err != nil {
		return at, 0
	}
	return l.Spec.RenewTime.Time, time.Duration(*l.Spec.LeaseDurationSeconds) * time.Second
}

// The Lease is renewed often enough that it holds although one renewal is lost,
// without any change to report.
func TestLeaseIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		r := startReporter(t, s)
		pass(time.Minute)
		if at, _ := s.renewed(t); !at.IsZero() {
			t.Fatal("renewed before there was anything to report")
		}
		r.set(asn(1))
		pass(5 * time.Second)
		for range 600 {
			at, holds := s.renewed(t)
			if since := time.Since(at); 2*since > holds {
				t.Fatalf("not renewed for %s, it holds for %s", since, holds)
			}
			pass(time.Second)
		}
	})
}

// What cannot be written is not vouched for.
func TestNoLeaseWithoutAReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		r := startReporter(t, s)
		r.set(asn(1))
		pass(5 * time.Second)
		s.fail(errors.New("refused"))
		r.set(asn(2))
		pass(time.Minute)
		before, _ := s.renewed(t)
		pass(10 * time.Minute)
		if after, _ := s.renewed(t); !after.Equal(before) {
			t.Error("renewed while the report could not be written")
		}
		s.fail(nil)
		pass(time.Minute)
		if after, _ := s.renewed(t); !after.After(before) {
			t.Error("not renewed again")
		}
	})
}

// A loop that hangs has nothing to say that would be true now.
func TestStuckAgentHasNoStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		if r.Status() != nil {
			t.Error("a status before the first sync")
		}
		r.start(t)
		if time.Sleep(time.Hour); r.Status() == nil {
			t.Error("no status of an agent at rest")
		}
		hang := make(chan struct{})
		r.links.Lock()
		r.links.hang = hang
		r.links.Unlock()
		time.Sleep(time.Hour)
		if r.Status() != nil {
			t.Error("a status of an agent that hangs")
		}
		close(hang)
		if r.settle(); r.Status() == nil {
			t.Error("no status of an agent that goes on")
		}
	})
}

// The controller's condition is not the agent's to write, or to remove.
func TestReportKeepsTheControllersCondition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		r := startReporter(t, s)
		r.set(asn(1))
		pass(5 * time.Second)
		theirs := s.state(t)
		silent := metav1.Condition{Type: v1alpha1.ConditionAgentReachable, Status: metav1.ConditionUnknown, Reason: "AgentSilent", LastTransitionTime: metav1.Now()}
		meta.SetStatusCondition(&theirs.Status.Conditions, silent)
		if err := s.Status().Update(t.Context(), theirs); err != nil {
			t.Fatal(err)
		}
		for i, status := range []metav1.ConditionStatus{metav1.ConditionTrue, metav1.ConditionFalse} {
			r.set(v1alpha1.NodeStateStatus{ASNumber: int64(i + 2), Conditions: []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: status, Reason: "Because"}}})
			pass(5 * time.Second)
			got := s.state(t).Status
			if c := meta.FindStatusCondition(got.Conditions, v1alpha1.ConditionAgentReachable); c == nil || c.Reason != "AgentSilent" || got.ASNumber != int64(i+2) {
				t.Errorf("status: %+v", got)
			}
		}
		if r.log.Len() > 0 {
			t.Errorf("a write that came between is no trouble, log:\n%s", r.log.String())
		}
	})
}
