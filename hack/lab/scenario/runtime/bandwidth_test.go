package runtime

import (
	"encoding/json"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"fairlead.dev/hack/lab/topology"
)

// Rates in bits a second. What the machine carries unshaped is far above.
const (
	ingressRate = 8_000_000
	egressRate  = 12_000_000
	// burst in bits that a shaper lets pass at once.
	burst = 800_000
)

// bandwidth is limited in both directions, of a pod that cnitool makes.
func (s *scene) bandwidth(t *testing.T) {
	c := s.chain(t, "shaped", plugin{"type": "bandwidth", "capabilities": map[string]bool{"bandwidth": true}})
	far := s.from(s.far.Role())
	free := c.add(t, "free")
	s.serve(t, free)
	for _, part := range []string{"pour", "drink"} {
		s.flow(t, far, part, free.address(topology.V4), 0) // for the log
	}
	c.wants(map[string]any{"bandwidth": map[string]any{
		"ingressRate": ingressRate, "ingressBurst": burst, "egressRate": egressRate, "egressBurst": burst,
	}})
	pod := c.add(t, "limited")
	s.serve(t, pod)
	s.shaped(t, s.machine.from(pod.name, pod.path()), ingressRate, egressRate)
	for part, rate := range map[string]float64{"pour": ingressRate, "drink": egressRate} {
		if f := s.flow(t, far, part, pod.address(topology.V4), burst/8); f.rate() > 1.5*rate {
			t.Errorf("%s: %.0f bit/s, want at most %.0f", part, f.rate(), rate)
		}
	}
	c.check(t, pod)
	c.del(t, pod)
	c.wants(nil)
	c.del(t, free)
}

// shaped fails the test unless tc has the rates, in bits a second, on the node's
// end of a pod's link and on a device of the bandwidth plugin's.
func (s *scene) shaped(t *testing.T, pod where, ingress, egress uint64) {
	t.Helper()
	rates := map[string]uint64{} // by kind of device
	var qdiscs []struct {
		Kind, Dev string
		Options   struct{ Rate uint64 }
	}
	if err := json.Unmarshal([]byte(s.machine.run(t, "tc", "-j", "qdisc", "show")), &qdiscs); err != nil {
		t.Fatal(err)
	}
	veth := s.machine.peer(t, pod)
	for _, q := range qdiscs {
		switch {
		case q.Kind != "tbf":
		case q.Dev == veth:
			rates["veth"] = q.Options.Rate * 8 // tc counts bytes
		case strings.HasPrefix(q.Dev, "bwp"):
			rates["ifb"] = q.Options.Rate * 8
		}
	}
	if rates["veth"] != ingress || rates["ifb"] != egress {
		t.Errorf("tc shapes %v, want %d to the pod and %d from it", rates, ingress, egress)
	}
}

// peer is the node's end of the link of a pod's eth0.
func (m *machine) peer(t *testing.T, pod where) string {
	t.Helper()
	type device struct {
		IfIndex   int    `json:"ifindex"`
		LinkIndex int    `json:"link_index"`
		IfName    string `json:"ifname"`
	}
	var inside, outside []device
	out, err := execute(t.Context(), nil, "", pod.line("ip", "-j", "link", "show", "eth0")...)
	if err == nil {
		err = json.Unmarshal([]byte(out), &inside)
	}
	if err != nil || len(inside) != 1 {
		t.Fatalf("eth0 of %s: %v: %s", pod.name, err, out)
	}
	if err := json.Unmarshal([]byte(m.run(t, "ip", "-j", "link", "show")), &outside); err != nil {
		t.Fatal(err)
	}
	for _, d := range outside {
		if d.IfIndex == inside[0].LinkIndex {
			return d.IfName
		}
	}
	t.Fatalf("eth0 of %s has no peer on the node", pod.name)
	return ""
}

// flow is what passed to a pod ("pour") or from it ("drink") in some time, once
// some bytes had passed.
type flow struct {
	Bytes          int64
	Took, Skipping time.Duration
}

// rate in bits a second.
func (f flow) rate() float64 { return float64(f.Bytes) * 8 / f.Took.Seconds() }

// flow measures for a second, after skip bytes.
func (s *scene) flow(t *testing.T, w where, part string, pod netip.Addr, skip int) flow {
	t.Helper()
	line := w.line(s.tools.actor(), part, net.JoinHostPort(pod.String(), port), strconv.Itoa(skip), time.Second.String())
	text, err := execute(t.Context(), nil, "", line...)
	if err != nil {
		t.Fatal(err)
	}
	var f flow
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s, after %d bytes in %v: %.1f Mbit/s", part, skip, f.Skipping.Round(time.Millisecond), f.rate()/1e6)
	return f
}
