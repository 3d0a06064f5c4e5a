package node_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"fairlead.dev/cniplugin/rundir"
	"fairlead.dev/controller/node"
	"fairlead.dev/controller/view"
)

func get(h http.Handler, path string) (int, string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestSocketOverItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), rundir.AgentSocket)
	// What a killed agent left is in nobody's way.
	old, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	old.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := node.ListenSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket is not root's alone: %v, %v", info, err)
	}
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- node.Serve(ctx, l, r.SocketHandler()) }()
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	resp, err := c.Get("http://agent" + view.StatePath)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "no sync") {
		t.Errorf("before the first sync: %d %s", resp.StatusCode, body)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("serve: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

func TestSocketState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start(t)
		r.converge()
		code, body := get(r.SocketHandler(), view.StatePath)
		var v view.Node
		if err := json.Unmarshal([]byte(body), &v); code != http.StatusOK || err != nil {
			t.Fatalf("%d, %v: %s", code, err, body)
		}
		if v.Name != "n1" || v.Source != "api" || len(v.Routes) != 2 || v.State.SessionsEstablished != 2 {
			t.Errorf("state: %+v", v)
		}
		if code, _ := get(r.SocketHandler(), "/v1/other"); code != http.StatusNotFound {
			t.Errorf("another path: %d", code)
		}
		w := httptest.NewRecorder()
		r.SocketHandler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, view.StatePath, nil))
		if w.Code != http.StatusMethodNotAllowed {
			t.Errorf("POST: %d", w.Code)
		}
	})
}

// A node lives while its agent does, and is ready when its block is served.
func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		h := r.HealthHandler()
		if code, _ := get(h, "/healthz"); code != http.StatusOK {
			t.Errorf("healthz: %d", code)
		}
		if code, body := get(h, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "no sync") {
			t.Errorf("readyz before a sync: %d %s", code, body)
		}
		r.kernel.Refuse(own, errors.New("a static route is there"))
		r.start(t)
		if code, body := get(h, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "BlockNotProgrammed") {
			t.Errorf("readyz without the block's route: %d %s", code, body)
		}
		r.kernel.Refuse(own, nil)
		r.settle()
		if code, body := get(h, "/readyz"); code != http.StatusOK {
			t.Errorf("readyz with every peer down: %d %s", code, body)
		}
	})
}

func TestServeAfterItsListenerBroke(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if err := node.Serve(t.Context(), l, http.NotFoundHandler()); err == nil {
		t.Error("no error")
	}
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(r.Collector())
		h := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
		if _, body := get(h, "/"); strings.Contains(body, "fairlead_") {
			t.Errorf("metrics of what is not known yet:\n%s", body)
		}
		bad := torPeer("bad", tor1)
		r.intents.in.Peers = append(r.intents.in.Peers, bad)
		r.kernel.Refuse(away, errors.New("no memory"))
		r.start(t)
		r.converge()
		r.speaker.Down(tor2, "hold timer expired")
		r.speaker.Receive(tor1, old, tor2.Next().Next()) // programmed as well
		r.speaker.Receive(tor1, own, tor1)
		r.settle()
		_, body := get(h, "/")
		for _, want := range []string{
			"fairlead_sessions_wanted 3", // one of them cannot be had
			"fairlead_sessions_established 1",
			"fairlead_routes_wanted 3", "fairlead_routes_installed 2", "fairlead_routes_failed 1", "fairlead_routes_refused 0",
			"fairlead_addresses_capacity 64", "fairlead_addresses_used 0", "fairlead_problems 1", "fairlead_from_snapshot 0",
			`fairlead_condition{type="Ready"} 1`, `fairlead_condition{type="ConfigAccepted"} 0`, `fairlead_condition{type="SessionsEstablished"} 0`,
		} {
			if !strings.Contains(body, want+"\n") {
				t.Errorf("no %s in:\n%s", want, body)
			}
		}
	})
}

// Each metric is in the table that says what it calls for.
func TestMetricsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	ch := make(chan *prometheus.Desc, 100)
	newRig(t).Collector().Describe(ch)
	close(ch)
	for d := range ch {
		name := strings.Split(d.String(), `"`)[1]
		if !strings.Contains(string(doc), name) {
			t.Errorf("docs/metrics.md does not know %s", name)
		}
	}
}
