package pods

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairlead.dev/dataplane/nstest"
	"fairlead.dev/hack/bench/measure"
)

const metrics = `# HELP containerd_cri_network_plugin_operations_duration_seconds_seconds latency in seconds
containerd_cri_network_plugin_operations_duration_seconds_seconds_bucket{operation_type="set_up_pod",le="+Inf"} 4
containerd_cri_network_plugin_operations_duration_seconds_seconds_sum{operation_type="set_up_pod"} 0.5
containerd_cri_network_plugin_operations_duration_seconds_seconds_count{operation_type="set_up_pod"} 4
containerd_cri_network_plugin_operations_duration_seconds_seconds_sum{operation_type="tear_down_pod"} 9
containerd_cri_network_plugin_operations_duration_seconds_seconds_count{operation_type="tear_down_pod"} 3
`

func TestParseCalls(t *testing.T) {
	got, err := parseCalls(strings.NewReader(metrics))
	if want := (calls{count: 4, seconds: 0.5}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if got, err := parseCalls(strings.NewReader("")); err != nil || got != (calls{}) {
		t.Errorf("before the first pod: %+v, %v", got, err)
	}
	if _, err := parseCalls(strings.NewReader(strings.Replace(metrics, " 0.5", " x", 1))); err == nil {
		t.Error("a figure that is none was read")
	}
}

// Half of the time that two pods took was that of plugins.
func TestShare(t *testing.T) {
	var r result
	r.ready = measure.Sample{100, 300}
	r.adds = calls{}.plus(calls{count: 3, seconds: 0.3}.minus(calls{count: 1, seconds: 0.1}))
	if got := r.share(); got < 49.9 || got > 50.1 {
		t.Errorf("share %v, want 50", got)
	}
}

// An address is asked once a pod has it, from the namespace that the probe is in,
// and heard once it answers.
func TestProbe(t *testing.T) {
	ns := nstest.New(t, "probe")
	p, err := newProbe(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.close(); err != nil {
			t.Error(err)
		}
	}()
	ns.Run(t, "ip", "address", "add", "192.0.2.0/28", "dev", "lo")
	dir := t.TempDir()
	give(t, dir, "net-half-eth0", `{"result":{"ips":[{"addr`)
	give(t, dir, "net-none-eth0", `{"result":{}}`)
	give(t, dir, "loopback-a-lo", `{"result":{"ips":[{"address":"192.0.2.9/8"}]}}`)
	p.aim(dir)
	before := time.Now()
	there, absent := netip.MustParseAddr("192.0.2.5"), netip.MustParseAddr("192.0.2.9")
	give(t, dir, "net-a-eth0", `{"result":{"ips":[{"address":"192.0.2.5/32"}]}}`)
	at, err := p.answered(t.Context(), there)
	if err != nil || at.Before(before) {
		t.Errorf("answered at %v, %v; asked at %v", at, err, before)
	}
	again, err := p.answered(t.Context(), there)
	if err != nil || !again.Equal(at) {
		t.Errorf("the first answer came at %v and then at %v, %v", at, again, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.answered(ctx, absent); !errors.Is(err, context.Canceled) {
		t.Errorf("%s, which no pod has, answered: %v", absent, err)
	}
	p.aim("")
	if _, err := p.answered(ctx, there); !errors.Is(err, context.Canceled) {
		t.Errorf("an answer is remembered that nobody asks for any more: %v", err)
	}
}

func give(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
