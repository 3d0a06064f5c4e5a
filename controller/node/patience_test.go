package node

import (
	"context"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
)

// away is an API server that nobody reaches.
type away struct {
	mu sync.Mutex
	// asked is when each path was asked for.
	asked map[string][]time.Time
}

func (s *away) RoundTrip(req *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[req.URL.Path] = append(s.asked[req.URL.Path], time.Now())
	return nil, syscall.ECONNREFUSED
}

// However long the API server is away, an agent does not wait long between two tries
// to reach it, and does not ask it to death.
func TestWatchesWaitPatiently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		server := &away{asked: map[string][]time.Time{}}
		scheme := runtime.NewScheme()
		if err := v1alpha1.AddToScheme(scheme); err != nil {
			t.Fatal(err)
		}
		cfg := &rest.Config{Host: "http://192.0.2.1:6443", Transport: server}
		w, err := startWatch(ctx, cfg, scheme, ownOnly("n1"), ownObjects(), func(client.Object) {})
		if err != nil {
			t.Fatal(err)
		}
		const outage = 10 * time.Minute
		time.Sleep(outage)
		cancel()
		<-w.stopped
		server.mu.Lock()
		defer server.mu.Unlock()
		if got := len(server.asked); got != len(ownObjects()) {
			t.Errorf("asked for %d kinds, want %d", got, len(ownObjects()))
		}
		for path, times := range server.asked {
			if least := int(outage / longestRetry); len(times) > least+10 {
				t.Errorf("%s was asked for %d times in %s", path, len(times), outage)
			}
			for i := range times[1:] {
				if pause := times[i+1].Sub(times[i]); pause > longestRetry*5/4+time.Second {
					t.Errorf("%s was asked for after %s", path, pause)
				}
			}
		}
	})
}
