package lab_test

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/labtest"
	"fairlead.dev/hack/lab/topology"
)

// TestCluster proves the whole lab with the real programs: sessions with keys on
// every kind of ToR, pods by the plugin, another process that takes the lab over,
// an agent killed under traffic, a node that leaves.
func TestCluster(t *testing.T) {
	topo := topology.Default()
	topo.Racks[0].ToRs[0].Password = "by-range-frr"
	topo.Racks[0].ToRs[1].Password = "by-range-bird"
	topo.Racks[1].ToRs[0].Password, topo.Racks[1].ToRs[0].DialsNodes = "dialled-by-frr", true
	topo.Racks[1].ToRs[1].Password, topo.Racks[1].ToRs[1].DialsNodes = "dialled-by-bird", true
	l := labtest.Up(t, lab.Options{Topology: &topo, Bin: labtest.Build(t)})
	near := addPod(t, l, "n1", "near")
	far := addPod(t, l, "n4", "far")

	t.Run("killed agent loses no packet", func(t *testing.T) {
		for _, f := range topo.Families() {
			killUnderTraffic(t, l, near, far, f)
		}
	})
	t.Run("another process takes over", func(t *testing.T) {
		other, err := lab.Open(l.Instance, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if err := other.WaitConverged(t.Context()); err != nil {
			t.Error(err)
		}
		pod, err := other.Pod("near")
		if err != nil || pod.Address(topology.V4) != near.Address(topology.V4) {
			t.Errorf("pod near: %v, %v", pod, err)
		}
		agent, err := other.Node("n2").Agent()
		if err != nil || !agent.Running() {
			t.Fatalf("agent of n2: %v", err)
		}
		if err := agent.Kill9(t.Context()); err != nil || agent.Running() {
			t.Errorf("kill by another process: %v", err)
		}
	})
	t.Run("a node leaves", func(t *testing.T) {
		if err := l.RemoveNode(t.Context(), "n4"); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat("/run/netns/" + far.NetNS); err == nil {
			t.Error("its pod's namespace is still there")
		}
		if _, err := l.Pod("far"); err == nil {
			t.Error("its pod is still known")
		}
		if _, err := l.Kubectl(t.Context(), "get", "node", "n4"); err == nil {
			t.Error("its Node is still there")
		}
	})
}

func addPod(t *testing.T, l *lab.Lab, node, name string) lab.Pod {
	t.Helper()
	pod, err := l.AddPod(t.Context(), node, name)
	if err != nil {
		t.Fatal(err)
	}
	if len(pod.Addresses) != len(l.Topology().Families()) {
		t.Errorf("pod %s has %v", name, pod.Addresses)
	}
	return pod
}

func killUnderTraffic(t *testing.T, l *lab.Lab, from, to lab.Pod, f topology.Family) {
	t.Helper()
	ping, err := l.StartPing(context.WithoutCancel(t.Context()), from.Role(), to.Address(f))
	if err != nil {
		t.Fatal(err)
	}
	agent, err := l.Node(from.Node).Agent()
	if err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	err = agent.Restart(t.Context())
	if err == nil {
		err = waitNewSession(t, l, from.Node, f, killed)
	}
	if err == nil {
		err = l.WaitConverged(t.Context())
	}
	trace, stopErr := ping.Stop()
	if err != nil || stopErr != nil {
		t.Fatal(err, stopErr)
	}
	if trace.Lost() != 0 || trace.Sent == 0 {
		t.Errorf("ping from %s to %s while the agent was killed: %v", from.Role(), to.Address(f), trace)
	}
}

// waitNewSession waits until the node's session with the FRR ToR is a younger one.
func waitNewSession(t *testing.T, l *lab.Lab, node string, f topology.Family, killed time.Time) error {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		sessions, err := l.Router("r1-tor1").Sessions(ctx)
		if err != nil {
			return err
		}
		for _, s := range sessions {
			if s.Neighbour == l.Node(node).Address(f) && s.State == lab.Established && s.Up < time.Since(killed) {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
