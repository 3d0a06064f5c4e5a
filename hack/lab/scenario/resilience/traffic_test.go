package resilience

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/topology"
)

// traffic is a set of pings that go on, and a watch on kernels beside them.
type traffic struct {
	s        *scene
	pings    map[string]*lab.Pinger
	monitors []*lab.Monitor
}

// pair of pods, of which the first pings the second.
type pair struct{ from, to lab.Pod }

// start sends packets in both families between the pairs and records every change
// of the kernel routes of the given roles. It returns once each ping has had an answer.
func (s *scene) start(t *testing.T, watched []string, pairs ...pair) *traffic {
	t.Helper()
	tr := &traffic{s: s, pings: map[string]*lab.Pinger{}}
	// A scenario that fails leaves neither pings nor monitors.
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(stop)
	for _, p := range pairs {
		for _, f := range families() {
			name := fmt.Sprintf("%s > %s %s", p.from.Name, p.to.Name, f)
			s.answered(t, p, f)
			ping, err := s.StartPing(ctx, p.from.Role(), p.to.Address(f))
			if err != nil {
				t.Fatal(err)
			}
			tr.pings[name] = ping
		}
	}
	for _, role := range watched {
		m, err := s.StartMonitor(ctx, role)
		if err != nil {
			t.Fatal(err)
		}
		tr.monitors = append(tr.monitors, m)
	}
	return tr
}

// answered waits for an answer: neighbours are resolved from then on.
func (s *scene) answered(t *testing.T, p pair, f topology.Family) {
	t.Helper()
	what := fmt.Sprintf("%s answer of %s to %s", f, p.to.Name, p.from.Name)
	s.eventually(t, bound, what, func(ctx context.Context) error {
		loss, err := s.Ping(ctx, p.from.Role(), p.to.Address(f), 2)
		if err == nil && loss.Received == 0 {
			err = fmt.Errorf("%v", loss)
		}
		return err
	})
}

// stop ends the pings and returns what each of them lost.
func (tr *traffic) stop(t *testing.T) map[string]lab.Trace {
	t.Helper()
	traces := map[string]lab.Trace{}
	for name, p := range tr.pings {
		trace, err := p.Stop()
		if err != nil {
			t.Fatal(err)
		}
		traces[name] = trace
	}
	for _, m := range tr.monitors {
		if _, err := m.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	return traces
}

// stopWithoutLoss ends the pings, none of which may have lost a packet.
func (tr *traffic) stopWithoutLoss(t *testing.T, when string) {
	t.Helper()
	sent := 0
	for name, trace := range tr.stop(t) {
		sent += trace.Sent
		if trace.Lost() != 0 || trace.Sent == 0 {
			t.Errorf("%s: ping %s: %v", when, name, trace)
		}
	}
	t.Logf("%s: %d packets on %d flows", when, sent, len(tr.pings))
}

// worst is the longest silence of a ping that lost packets, and which one it was.
func worst(traces map[string]lab.Trace) (time.Duration, string) {
	var longest time.Duration
	which := "none"
	for name, trace := range traces {
		if trace.Lost() != 0 && trace.Silence > longest {
			longest, which = trace.Silence, name
		}
	}
	return longest, which
}

// lost is the sum over all pings.
func lost(traces map[string]lab.Trace) (lost, sent int) {
	for _, trace := range traces {
		lost, sent = lost+trace.Lost(), sent+trace.Sent
	}
	return lost, sent
}

// assertKept fails for each watched kernel that ever let go of one of the prefixes.
func (tr *traffic) assertKept(t *testing.T, when string, prefixes []netip.Prefix) {
	t.Helper()
	changes := 0
	for _, m := range tr.monitors {
		for _, p := range prefixes {
			changes += len(m.Of(p))
			for _, line := range m.Deletions(p) {
				t.Errorf("%s: the kernel of %s: %s", when, m.Role, line)
			}
		}
	}
	t.Logf("%s: %d changes of the blocks' routes in %d kernels", when, changes, len(tr.monitors))
}

// blocksOf are the blocks of some nodes.
func (s *scene) blocksOf(t *testing.T, nodes ...string) []netip.Prefix {
	t.Helper()
	blocks, err := s.Blocks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []netip.Prefix
	for holder, block := range blocks {
		for _, n := range nodes {
			if holder.Node == n {
				out = append(out, block)
			}
		}
	}
	if len(out) != len(nodes)*len(s.Topology().Pools) {
		t.Fatalf("nodes %v have the blocks %v", nodes, out)
	}
	return out
}

// others are all routers, and all nodes but the given ones.
func (s *scene) others(nodes ...string) []string {
	var roles []string
	for _, r := range s.Routers() {
		roles = append(roles, r.Name)
	}
next:
	for _, n := range s.Nodes() {
		for _, not := range nodes {
			if n.Name == not {
				continue next
			}
		}
		roles = append(roles, n.Name)
	}
	return roles
}
