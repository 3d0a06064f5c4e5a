package behaviour

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/labtest"
	"fairlead.dev/hack/lab/topology"
)

// flat is one segment of three nodes without any router.
func flat() topology.Topology {
	topo := topology.Default()
	rack := topo.Racks[0]
	rack.ToRs = nil
	rack.Nodes = nil
	for i := 1; i <= 3; i++ {
		rack.Nodes = append(rack.Nodes, topology.Node{Name: fmt.Sprintf("n%d", i), Number: i})
	}
	topo.Racks, topo.Spines = []topology.Rack{rack}, nil
	return topo
}

// TestMesh is about nodes that no BGPPeer selects: nodeMesh Auto has them peer
// with each other.
func TestMesh(t *testing.T) {
	topo := flat()
	s := &scene{Lab: labtest.Up(t, lab.Options{Topology: &topo})}
	for _, step := range []struct {
		name string
		run  func(*scene, *testing.T)
	}{
		{"pods reach each other", (*scene).meshRoutes},
		{"a node joins late", (*scene).meshJoined},
		{"nodes dial another's port", (*scene).meshPort},
		{"a node leaves the mesh", (*scene).meshLeft},
		{"a node cannot take what it was not leased", (*scene).meshRogue},
	} {
		t.Run(step.name, func(t *testing.T) {
			if err := s.WaitConverged(t.Context()); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			step.run(s, t)
			t.Logf("took %v", time.Since(began).Round(100*time.Millisecond))
		})
	}
}

// meshed is nil while each of these nodes has an established connection with each
// other one, dialled by that of the higher address, and the agent says the same.
func (s *scene) meshed(ctx context.Context, nodes ...string) error {
	for i, high := range nodes {
		for _, low := range nodes[:i] {
			if err := s.connection(ctx, high, low); err != nil {
				return err
			}
		}
		var peers []peerLine
		if err := s.ask(ctx, high, 0, &peers, append(s.socketOf(high), "peers")...); err != nil {
			return err
		}
		if want := 2 * (len(nodes) - 1); len(peers) != want {
			return fmt.Errorf("%s has %d sessions, want %d", high, len(peers), want)
		}
		for _, p := range peers {
			if p.State != lab.Established || !strings.HasPrefix(p.Peer, "node/n") || p.Received != 1 || p.Accepted != 1 || p.Advertised != 1 {
				return fmt.Errorf("session of %s: %+v, want one prefix each way", high, p)
			}
		}
	}
	return nil
}

// meshRoutes: WaitConverged has seen every block in every kernel, by the node
// that holds it.
func (s *scene) meshRoutes(t *testing.T) {
	s.eventually(t, "mesh of three", func(ctx context.Context) error { return s.meshed(ctx, "n1", "n2", "n3") })
	s.pingAll(t, "n1", "n2", "n3")
	for _, n := range []string{"n1", "n2", "n3"} {
		s.holds(t, nodeState(n), v1alpha1.ConditionSessionsEstablished, "True", "AllEstablished", "4 sessions")
	}
}

// pingAll has a pod on each node and a ping of each family between all of them.
func (s *scene) pingAll(t *testing.T, nodes ...string) {
	t.Helper()
	var pods []lab.Pod
	for _, n := range nodes {
		pods = append(pods, s.addPod(t, n, "on-"+n))
	}
	for i, from := range pods {
		to := pods[(i+1)%len(pods)]
		for _, f := range s.Topology().Families() {
			s.answered(t, from, to.Address(f))
		}
	}
}

func (s *scene) meshJoined(t *testing.T) {
	if _, err := s.AddNode(t.Context(), "r1", "n4"); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitConverged(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.eventually(t, "mesh of four", func(ctx context.Context) error { return s.meshed(ctx, "n1", "n2", "n3", "n4") })
	s.pingAll(t, "n4", "n1", "n3")
}

// meshPort has n1, which all others dial, listen on another port.
func (s *scene) meshPort(t *testing.T) {
	special := configuration("port")
	special.Spec = v1alpha1.BGPConfigurationSpec{NodeSelector: only("n1"), ASNumber: 65101, ListenPort: 1790}
	special.Spec.NodeSelector.MatchLabels = map[string]string{lab.RackLabel: "r1"}
	s.create(t, special)
	s.eventually(t, "sessions with port 1790", func(ctx context.Context) error {
		for _, n := range []string{"n2", "n3", "n4"} {
			out, err := s.Node(n).Exec(ctx, "ss", "-tnH", "state", "established", "dport", "=", ":1790")
			if err != nil {
				return err
			}
			for _, f := range s.Topology().Families() {
				if !strings.Contains(out, s.Node("n1").Address(f).String()) {
					return fmt.Errorf("%s has no connection to %s:\n%s", n, s.Node("n1").Address(f), out)
				}
			}
		}
		return errors.Join(s.listens(ctx, "n1", 1790), s.meshed(ctx, "n1", "n2", "n3", "n4"))
	})
	if err := s.WaitConverged(t.Context()); err != nil {
		t.Error(err)
	}
}

// meshLeft takes n4 out of the mesh: by BGP nobody knows its block any more.
func (s *scene) meshLeft(t *testing.T) {
	alone := configuration("alone")
	alone.Spec = v1alpha1.BGPConfigurationSpec{NodeSelector: only("n4"), ASNumber: 65101, NodeMesh: v1alpha1.NodeMeshDisabled}
	alone.Spec.NodeSelector.MatchLabels = map[string]string{lab.RackLabel: "r1"}
	s.create(t, alone)
	block := s.block(t, "n4", "pods-v4")
	s.eventually(t, "mesh without n4", func(ctx context.Context) error {
		err := s.meshed(ctx, "n1", "n2", "n3")
		for _, n := range []string{"n1", "n2", "n3"} {
			err = errors.Join(err, s.noRoute(ctx, n, block))
		}
		return errors.Join(err, s.hasBlackholes(ctx, "n4", block, block))
	})
	s.holds(t, nodeState("n4"), v1alpha1.ConditionSessionsEstablished, "False", "NoPeers", "in no mesh")
	s.holds(t, nodeState("n4"), v1alpha1.ConditionReady, "True", "Synced")
	if err := s.ready(t.Context(), "n4", 200, "ok"); err != nil {
		t.Error(err)
	}
}

// meshRogue stops n3's agent and has BIRD speak in its place, with its address
// and AS: of what that announces, the others take n3's own block and nothing else.
func (s *scene) meshRogue(t *testing.T) {
	mine, theirs := s.block(t, "n3", "pods-v4"), s.block(t, "n1", "pods-v4")
	part := netip.PrefixFrom(theirs.Addr(), theirs.Bits()+1)
	free := netip.MustParsePrefix("10.244.200.0/26")
	agent, err := s.Node("n3").Agent()
	if err != nil {
		t.Fatal(err)
	}
	if err := agent.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := agent.Start(); err != nil {
			t.Error(err)
		}
	})
	s.speak(t, "n3", []string{"n1", "n2"}, mine, theirs, part, free, netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("192.168.200.1/32"))

	n3 := s.Node("n3").Address(topology.V4)
	s.eventually(t, "n2 hears the rogue", func(ctx context.Context) error {
		var peers []peerLine
		if err := s.ask(ctx, "n2", 0, &peers, append(s.socketOf("n2"), "peers")...); err != nil {
			return err
		}
		for _, p := range peers {
			if p.Address == n3.String() && p.State == lab.Established && p.Received == 6 && p.Accepted == 1 {
				return s.hasRoute(ctx, "n2", mine, n3)
			}
		}
		return fmt.Errorf("%+v, want 6 prefixes of n3 and 1 of them accepted", peers)
	})
	if err := s.hasRoute(t.Context(), "n2", theirs, s.Node("n1").Address(topology.V4)); err != nil {
		t.Errorf("n1's block: %v", err)
	}
	if err := s.hasBlackholes(t.Context(), "n1", theirs, theirs); err != nil {
		t.Errorf("n1's block at home: %v", err)
	}
	for _, node := range []string{"n1", "n2", "n4"} {
		for _, p := range []netip.Prefix{part, free, netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("192.168.200.1/32")} {
			if err := s.noRoute(t.Context(), node, p); err != nil {
				t.Errorf("what the rogue announces: %v", err)
			}
		}
	}
	s.pingAll(t, "n1", "n2")
}

// speak runs BIRD in a node's namespace until the test ends, announcing prefixes
// to the mesh sessions of other nodes.
func (s *scene) speak(t *testing.T, node string, to []string, prefixes ...netip.Prefix) {
	t.Helper()
	rack, _, err := s.Topology().Node(node)
	if err != nil {
		t.Fatal(err)
	}
	var conf strings.Builder
	own := s.Node(node).Address(topology.V4)
	fmt.Fprintf(&conf, "router id %s;\nprotocol device { }\nprotocol static { ipv4;\n", own)
	for _, p := range prefixes {
		fmt.Fprintf(&conf, "  route %s blackhole;\n", p)
	}
	conf.WriteString("}\n")
	for _, n := range to {
		fmt.Fprintf(&conf, "protocol bgp %s { local %s as %d; neighbor %s as %d; connect delay time 1; connect retry time 1; error wait time 1, 2; ipv4 { import all; export all; next hop self; }; }\n",
			n, own, rack.NodeASN, s.Node(n).Address(topology.V4), rack.NodeASN)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "bird.conf")
	if err := os.WriteFile(file, []byte(conf.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	line := s.EnterCommand(node, "bird", "-f", "-c", file, "-s", filepath.Join(dir, "bird.ctl"))
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), line[0], line[1:]...)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // killed
	})
}
