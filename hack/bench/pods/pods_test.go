package pods

import (
	"context"
	"errors"
	"net/netip"
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

// An address is heard once it is there, in the namespace that the probe is in, and
// no other one is.
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
	there, absent := netip.MustParseAddr("192.0.2.5"), netip.MustParseAddr("192.0.2.6")
	p.aim(netip.MustParsePrefix("192.0.2.0/28"))
	before := time.Now()
	ns.Run(t, "ip", "address", "add", there.String()+"/32", "dev", "lo")
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
		t.Errorf("%s answered: %v", absent, err)
	}
	p.aim(netip.MustParsePrefix("192.0.2.8/29"))
	if _, err := p.answered(ctx, there); !errors.Is(err, context.Canceled) {
		t.Errorf("an answer is remembered that nobody asks for any more: %v", err)
	}
}
