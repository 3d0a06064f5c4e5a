package load

import (
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/dataplane/nstest"
)

// server answers inside a namespace of its own, and tells how many connections
// were opened.
func server(t *testing.T, h http.Handler) (ns nstest.NS, url string, conns *atomic.Int64) {
	t.Helper()
	ns, conns = nstest.New(t, "load"), &atomic.Int64{}
	var l net.Listener
	if err := ns.Inside(func() (err error) {
		l, err = net.Listen("tcp", "127.0.0.1:0")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute, ConnState: func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return ns, fmt.Sprintf("http://%s/", l.Addr()), conns
}

// run asks until the server has seen so many requests.
func run(t *testing.T, opts Options, seen *atomic.Int64, requests int64) Count {
	t.Helper()
	l := Start(t.Context(), opts)
	for seen.Load() < requests && t.Context().Err() == nil {
		time.Sleep(time.Millisecond)
	}
	return l.Stop()
}

func TestAllAnswered(t *testing.T) {
	var seen atomic.Int64
	ns, url, conns := server(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen.Add(1) }))
	got := run(t, Options{From: ns, URL: url, Rate: 1000}, &seen, 500)
	if got.Failures() > 0 || int64(got.Answered) != seen.Load() {
		t.Errorf("%v; want all %d answered", got, seen.Load())
	}
	if n := conns.Load(); n < seen.Load()/fresh || n >= seen.Load() {
		t.Errorf("%d connections for %d requests: want each tenth request on one of its own, and others to share", n, seen.Load())
	}
}

func TestConnectionOfItsOwn(t *testing.T) {
	var seen atomic.Int64
	ns, url, conns := server(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen.Add(1) }))
	got := run(t, Options{From: ns, URL: url, Rate: 1000, Once: true}, &seen, 100)
	if n := conns.Load(); got.Failures() > 0 || n != seen.Load() {
		t.Errorf("%v; %d connections for %d requests, want one each", got, n, seen.Load())
	}
}

func TestFailuresAreCounted(t *testing.T) {
	var seen atomic.Int64
	ns, url, _ := server(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		switch seen.Add(1) {
		case 7:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 20: // an open connection that breaks before its answer
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_ = conn.Close()
		}
	}))
	got := run(t, Options{From: ns, URL: url, Rate: 1000}, &seen, 100)
	if d := cmp.Diff(map[string]int{"answered 503 Service Unavailable": 1, "EOF": 1}, got.Failed); d != "" {
		t.Errorf("failed (-want +got):\n%s", d)
	}
	if int64(got.Answered) != seen.Load()-2 {
		t.Errorf("%v; want %d answered", got, seen.Load()-2)
	}
}

func TestRefused(t *testing.T) {
	ns := nstest.New(t, "load")
	l := Start(t.Context(), Options{From: ns, URL: "http://127.0.0.1:9/", Rate: 1000})
	for l.Count().Failures() < 3 && t.Context().Err() == nil {
		time.Sleep(time.Millisecond)
	}
	got := l.Stop()
	if n := got.Failed["dial: connect: connection refused"]; n == 0 || n != got.Failures() || got.Answered > 0 {
		t.Errorf("%v; want nothing but refused connections", got)
	}
}

// A server that answers nobody for a while is asked no more than so many
// questions meanwhile, and all are answered in the end.
func TestBusyServerIsNotFlooded(t *testing.T) {
	var seen atomic.Int64
	open := make(chan struct{})
	ns, url, _ := server(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		seen.Add(1)
		<-open
	}))
	const rate = 5000
	l := Start(t.Context(), Options{From: ns, URL: url, Rate: rate})
	for seen.Load() < inFlight && t.Context().Err() == nil {
		time.Sleep(time.Millisecond)
	}
	// Time for more than are allowed.
	time.Sleep(inFlight * time.Second / rate)
	if n := seen.Load(); n != inFlight {
		t.Errorf("%d requests wait, want no more than %d", n, inFlight)
	}
	close(open)
	for seen.Load() < 2*inFlight && t.Context().Err() == nil {
		time.Sleep(time.Millisecond)
	}
	if got := l.Stop(); got.Failures() > 0 || int64(got.Answered) != seen.Load() {
		t.Errorf("%v; want all %d answered", got, seen.Load())
	}
}
