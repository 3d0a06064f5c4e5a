package resilience

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"fairlead.dev/cniplugin/install"
	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/topology"
)

// agentsRestart ends agents, each at least once, and starts them again when the
// routers have noticed. No packet is lost, and no kernel lets go of a block.
func (s *scene) agentsRestart(t *testing.T) {
	before := s.settled(t, true)
	for _, tc := range []struct {
		name  string
		nodes []string
		end   func(*lab.Process, context.Context) error
	}{
		{"SIGKILL", []string{"n1"}, (*lab.Process).Kill9},
		{"SIGTERM", []string{"n1"}, (*lab.Process).Stop},
		{"SIGKILL at both ends", []string{"n1", "n3"}, (*lab.Process).Kill9},
		{"SIGKILL at both other ends", []string{"n2", "n4"}, (*lab.Process).Kill9},
	} {
		t.Run(tc.name, func(t *testing.T) {
			traffic := s.start(t, s.others(tc.nodes...), pair{s.a, s.b}, pair{s.b, s.a}, pair{s.a, s.c}, pair{s.d, s.b}, pair{s.c, s.d})
			for _, n := range tc.nodes {
				if err := tc.end(s.agent(t, n), t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			s.eventually(t, bound, "sessions seen down", func(ctx context.Context) error { return s.sessionsDown(ctx, tc.nodes) })
			for _, n := range tc.nodes {
				if err := s.agent(t, n).Start(); err != nil {
					t.Fatal(err)
				}
			}
			took := s.returns(t, before, true)
			traffic.stopWithoutLoss(t, tc.name)
			traffic.assertKept(t, tc.name, s.blocksOf(t, tc.nodes...))
			t.Logf("same state %v after the start", took.Round(10*time.Millisecond))
		})
	}
}

// sessionsDown is nil once no ToR has an established session with the nodes.
func (s *scene) sessionsDown(ctx context.Context, nodes []string) error {
	owners := s.Topology().Owners()
	for _, r := range s.Routers() {
		sessions, err := r.Sessions(ctx)
		if err != nil {
			return err
		}
		for _, session := range sessions {
			for _, n := range nodes {
				if owners[session.Neighbour] == n && session.State == lab.Established {
					return fmt.Errorf("%s has a session with %s (%s)", r.Name, n, session.Neighbour)
				}
			}
		}
	}
	return nil
}

// startsWithoutAPI kills an agent and starts it while there is no API server. It
// must come back from what it remembers, before the routers forget it, and pods
// must come and go meanwhile.
func (s *scene) startsWithoutAPI(t *testing.T) {
	const node = "n1"
	before := s.settled(t, true)
	blocks := s.blocksOf(t, node)
	conf := filepath.Join(s.Node(node).CNIConfDir(), install.ConfName)
	was, err := os.Stat(conf)
	if err != nil {
		t.Fatal(err)
	}
	traffic := s.start(t, s.others(node), pair{s.a, s.b}, pair{s.c, s.a})
	s.outage(t, s.ControlPlane().KillAPIServer)
	if err := s.agent(t, node).Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	took := s.eventually(t, restartTime, "sessions with "+node, func(ctx context.Context) error { return s.sessionsUp(ctx, node) })
	t.Logf("sessions up %v after the start", took.Round(10*time.Millisecond))
	stays := s.addPod(t, node, "stays")
	s.addPod(t, node, "goes")
	for _, f := range families() {
		s.answered(t, pair{s.c, stays}, f)
	}
	s.delPod(t, "goes")
	s.always(t, restartTime+3*time.Second, node+" without an API server", func(ctx context.Context) error {
		if err := s.sessionsUp(ctx, node); err != nil {
			return err
		}
		return s.served(ctx, node, blocks)
	})
	if is, err := os.Stat(conf); err != nil || !os.SameFile(was, is) {
		t.Errorf("the CNI configuration was not left as it was: %v", err)
	}
	if err := s.ControlPlane().StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Its own pods' addresses, and the new one's.
	if err := s.WaitAddressesUsed(t.Context(), node, int64(len(s.a.Addresses)+len(stays.Addresses)), bound); err != nil {
		t.Errorf("NodeState is not written again: %v", err)
	}
	s.delPod(t, "stays")
	s.outageEnds(t)
	s.returns(t, before, true)
	traffic.stopWithoutLoss(t, "start without an API server")
	traffic.assertKept(t, "start without an API server", blocks)
}

// sessionsUp is nil while each ToR of the node's rack has all sessions with it.
func (s *scene) sessionsUp(ctx context.Context, node string) error {
	rack, n, err := s.Topology().Node(node)
	if err != nil {
		return err
	}
	for _, tor := range rack.ToRs {
		sessions, err := s.Router(tor.Name).Sessions(ctx)
		if err != nil {
			return err
		}
		states := map[netip.Addr]string{}
		for _, session := range sessions {
			states[session.Neighbour] = session.State
		}
		for _, f := range families() {
			if a := rack.NodeAddress(f, n); states[a] != lab.Established {
				return fmt.Errorf("%s: session with %s (%s) is %q", tor.Name, node, a, states[a])
			}
		}
	}
	return nil
}

// served is nil while each ToR of the node's rack has the blocks by the node
// itself, in its BGP table and not as something stale, and in its kernel.
func (s *scene) served(ctx context.Context, node string, blocks []netip.Prefix) error {
	rack, _, err := s.Topology().Node(node)
	if err != nil {
		return err
	}
	for _, tor := range rack.ToRs {
		for _, b := range blocks {
			if err := s.servedBy(ctx, tor.Name, node, b); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *scene) servedBy(ctx context.Context, tor, node string, block netip.Prefix) error {
	f := topology.FamilyOf(block.Addr())
	want := s.Node(node).Address(f)
	route, err := s.Router(tor).Route(ctx, block)
	if err != nil {
		return err
	}
	if len(route.Paths) != 1 || route.Paths[0].NextHop != want || route.Paths[0].Stale {
		return fmt.Errorf("RIB of %s: %s by %+v, want %s alone", tor, block, route.Paths, want)
	}
	routes, err := s.KernelRoutes(ctx, tor, f)
	if err != nil {
		return err
	}
	for _, k := range routes {
		if k.Prefix == block && len(k.NextHops) == 1 && k.NextHops[0] == want {
			return nil
		}
	}
	return fmt.Errorf("kernel of %s has no route to %s by %s", tor, block, want)
}
