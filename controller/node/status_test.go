package node_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	clientfake "sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/controller/node"
)

// server is an API server that counts, and fails as told.
type server struct {
	client.Client
	mu            sync.Mutex
	gets, updates int
	failure       error
}

func (s *server) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = err
}

func (s *server) counts() (gets, updates int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gets, s.updates
}

func newServer(t *testing.T, objects ...client.Object) *server {
	t.Helper()
	s := &server{}
	s.Client = clientfake.NewClientBuilder().WithScheme(newScheme(t)).WithStatusSubresource(&v1alpha1.NodeState{}).WithObjects(objects...).
		WithInterceptorFuncs(interceptor.Funcs{
			Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
				s.mu.Lock()
				s.gets++
				s.mu.Unlock()
				return c.Get(ctx, key, o, opts...)
			},
			SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
				s.mu.Lock()
				s.updates++
				err := s.failure
				s.mu.Unlock()
				if err != nil {
					return err
				}
				return c.SubResource(sub).Update(ctx, o, opts...)
			},
		}).Build()
	return s
}

func (s *server) state(t *testing.T) *v1alpha1.NodeState {
	t.Helper()
	var out v1alpha1.NodeState
	if err := s.Get(t.Context(), client.ObjectKey{Name: "n1"}, &out); err != nil {
		t.Fatal(err)
	}
	return &out
}

// reporter is a Reporter whose status the test sets.
type reporter struct {
	mu      sync.Mutex
	status  *v1alpha1.NodeStateStatus
	changed chan struct{}
	log     strings.Builder
}

func startReporter(t *testing.T, s *server) *reporter {
	t.Helper()
	r := &reporter{changed: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		out := node.Reporter{Client: s, Node: "n1", Namespace: namespace, Interval: time.Second, Logger: slog.New(slog.NewTextHandler(&r.log, nil))}
		out.Run(ctx, func() *v1alpha1.NodeStateStatus {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.status
		}, r.changed)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return r
}

func (r *reporter) set(st v1alpha1.NodeStateStatus) {
	r.mu.Lock()
	r.status = &st
	r.mu.Unlock()
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

func asn(n int64) v1alpha1.NodeStateStatus { return v1alpha1.NodeStateStatus{ASNumber: n} }

func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestReportIsMadeAndFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		r := startReporter(t, s)
		for i := range 100 { // a burst
			r.set(asn(int64(i)))
			pass(10 * time.Millisecond)
		}
		pass(5 * time.Second)
		if got := s.state(t).Status.ASNumber; got != 99 {
			t.Errorf("ASN %d, want the newest", got)
		}
		if _, updates := s.counts(); updates > 3 {
			t.Errorf("%d updates for a burst of a second", updates)
		}
		_, before := s.counts()
		r.set(asn(99))
		pass(5 * time.Second)
		if _, after := s.counts(); after != before {
			t.Error("no change was written")
		}
	})
}

// At rest nothing is written but the Lease, and what is there is read now and
// then: somebody may have deleted it.
func TestReporterRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		r := startReporter(t, s)
		r.set(asn(1))
		pass(5 * time.Second)
		gets, updates := s.counts()
		pass(24 * time.Hour)
		if g, u := s.counts(); g-gets > 24*6 || u != updates {
			t.Errorf("%d reads and %d writes in a day without a change", g-gets, u-updates)
		}
	})
}

func TestReportAfterAConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		r := startReporter(t, s)
		r.set(asn(1))
		pass(5 * time.Second)
		// Someone else writes: our resourceVersion is old.
		other := s.state(t)
		other.Labels = map[string]string{"a": "b"}
		if err := s.Update(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		r.set(asn(2))
		pass(10 * time.Second)
		if got := s.state(t); got.Status.ASNumber != 2 || got.Labels["a"] != "b" {
			t.Errorf("NodeState: %+v", got)
		}
	})
}

// A NodeState that somebody deleted is back with the next change, and without
// one after a while: a resync is enough.
func TestReportAfterADeletion(t *testing.T) {
	for name, change := range map[string]func(*reporter){
		"change": func(r *reporter) { r.set(asn(2)); pass(10 * time.Second) },
		"resync": func(r *reporter) {
			for range 12 {
				pass(time.Minute)
				r.set(asn(1))
			}
			pass(10 * time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t)
				r := startReporter(t, s)
				r.set(asn(1))
				pass(5 * time.Second)
				if err := s.Delete(t.Context(), s.state(t)); err != nil {
					t.Fatal(err)
				}
				change(r)
				if got := s.state(t).Status.ASNumber; got == 0 {
					t.Error("no status")
				}
			})
		})
	}
}

// While the API server is away it is asked ever less, and one line says so.
func TestReportToADeadAPIServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		r := startReporter(t, s)
		s.fail(errors.New("connection refused"))
		for i := range 3600 {
			r.set(asn(int64(i)))
			pass(time.Second)
		}
		if _, updates := s.counts(); updates < 290 || updates > 360 {
			t.Errorf("%d attempts in an hour", updates)
		}
		s.fail(nil)
		pass(time.Minute)
		if got := s.state(t).Status.ASNumber; got != 3599 {
			t.Errorf("ASN %d, want the newest", got)
		}
		if lines := strings.Count(r.log.String(), "\n"); lines != 2 {
			t.Errorf("log:\n%s", r.log.String())
		}
	})
}

func TestForbiddenReportIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		r := startReporter(t, s)
		s.fail(apierrors.NewForbidden(schema.GroupResource{Resource: "nodestates"}, "n1", errors.New("no")))
		r.set(asn(1))
		pass(time.Minute)
		s.fail(nil)
		pass(time.Minute)
		if got := s.state(t).Status.ASNumber; got != 1 {
			t.Errorf("ASN %d", got)
		}
	})
}

// A condition keeps the time of its last transition, also over a restart.
func TestTransitionTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := func(status metav1.ConditionStatus, message string) v1alpha1.NodeStateStatus {
			return v1alpha1.NodeStateStatus{Conditions: []metav1.Condition{{Type: "Ready", Status: status, Reason: "Because", Message: message}}}
		}
		s := newServer(t)
		first := startReporter(t, s)
		first.set(is("True", "one"))
		pass(time.Minute)
		began := s.state(t).Status.Conditions[0].LastTransitionTime
		second := startReporter(t, s)
		second.set(is("True", "two"))
		pass(time.Minute)
		c := s.state(t).Status.Conditions[0]
		if c.Message != "two" || !c.LastTransitionTime.Equal(&began) {
			t.Errorf("condition: %+v, began %s", c, began)
		}
		second.set(is("False", "three"))
		pass(time.Minute)
		if c := s.state(t).Status.Conditions[0]; !c.LastTransitionTime.After(began.Time) {
			t.Errorf("condition: %+v", c)
		}
	})
}

// huge is more than the API takes, in every list and text.
func huge() v1alpha1.NodeStateStatus {
	st := v1alpha1.NodeStateStatus{SessionsWanted: 2000, RouterID: "10.1.0.11"}
	for i := range 2000 {
		state := "Established"
		if i >= 1500 {
			state = "Active"
		}
		st.Sessions = append(st.Sessions, v1alpha1.SessionStatus{
			Peer: fmt.Sprintf("node/%s%04d", strings.Repeat("n", 240), i), Address: fmt.Sprintf("fd00::%x", i+1), State: state,
			LastError: strings.Repeat("x", 1021) + "...",
		})
	}
	for i := range 300 {
		uid := fmt.Sprintf("00000000-0000-0000-0000-%012d", i)
		st.Blocks = append(st.Blocks, v1alpha1.BlockStatus{CIDR: fmt.Sprintf("10.%d.%d.0/26", i/256, i%256), UID: uid})
		st.ReleasedBlocks = append(st.ReleasedBlocks, uid)
	}
	return st
}

func TestReportIsCutToWhatTheAPITakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		startReporter(t, s).set(huge())
		pass(time.Minute)
		st := s.state(t).Status
		if len(st.Sessions) != 1024 || len(st.Blocks) != 256 || len(st.ReleasedBlocks) != 256 || st.SessionsWanted != 2000 {
			t.Fatalf("%d sessions of %d, %d blocks, %d released", len(st.Sessions), st.SessionsWanted, len(st.Blocks), len(st.ReleasedBlocks))
		}
		down := 0
		for i, x := range st.Sessions {
			if x.State != "Established" {
				down++
			}
			if i > 0 && x.Peer <= st.Sessions[i-1].Peer {
				t.Fatalf("not sorted: %s after %s", x.Peer, st.Sessions[i-1].Peer)
			}
		}
		if down != 500 {
			t.Errorf("%d sessions that are down, want all 500", down)
		}
	})
}

// The API server itself is the judge of what it takes.
func TestHugeReportIsTaken(t *testing.T) {
	w := newWorld(t, "huge1")
	r := node.Reporter{Client: w.agent, Node: "huge1", Namespace: namespace, Interval: 50 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	done := make(chan struct{})
	changed := make(chan struct{}, 1)
	changed <- struct{}{}
	st := huge()
	go func() {
		defer close(done)
		r.Run(ctx, func() *v1alpha1.NodeStateStatus { return &st }, changed)
	}()
	var got v1alpha1.NodeState
	for len(got.Status.Sessions) == 0 && ctx.Err() == nil {
		if err := client.IgnoreNotFound(w.admin.Get(ctx, client.ObjectKey{Name: "huge1"}, &got)); err != nil && ctx.Err() == nil {
			t.Error(err)
		}
		sleepOr(ctx, 50*time.Millisecond)
	}
	cancel()
	<-done
	if len(got.Status.Sessions) != 1024 {
		t.Errorf("%d sessions were written", len(got.Status.Sessions))
	}
	if err := client.IgnoreNotFound(w.admin.Delete(context.Background(), &got)); err != nil {
		t.Error(err)
	}
}

func sleepOr(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
