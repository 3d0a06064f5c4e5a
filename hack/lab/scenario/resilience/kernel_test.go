package resilience

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/topology"
)

// repair is how soon drift is to be undone.
const repair = 10 * time.Second

// avoidsHop is nil if no route of the agent goes by a next hop.
func (s *scene) avoidsHop(ctx context.Context, node, hop string, f topology.Family) error {
	routes, err := s.KernelRoutes(ctx, node, f)
	if err != nil {
		return err
	}
	for _, k := range routes {
		if k.Protocol == lab.AgentProtocol() && slices.Contains(k.NextHops, netip.MustParseAddr(hop)) {
			return fmt.Errorf("%s reaches %s by %v", node, k.Prefix, k.NextHops)
		}
	}
	return nil
}

// blockOf is a node's block of a family.
func (s *scene) blockOf(t *testing.T, node string, f topology.Family) netip.Prefix {
	t.Helper()
	for _, b := range s.blocksOf(t, node) {
		if topology.FamilyOf(b.Addr()) == f {
			return b
		}
	}
	t.Fatalf("%s has no %s block", node, f)
	return netip.Prefix{}
}

// drift has somebody change the agent's routes behind its back. They are repaired,
// and what is not ours stays.
func (s *scene) drift(t *testing.T) {
	const node, foreign4, foreign6 = "n1", "203.0.113.0/24", "2001:db8:99::/64"
	before := s.settled(t, true)
	own, far, far6 := s.blockOf(t, node, topology.V4), s.blockOf(t, "n3", topology.V4), s.blockOf(t, "n4", topology.V6)
	rack, _, err := s.Topology().Node(node)
	if err != nil {
		t.Fatal(err)
	}
	tor4, tor6 := rack.ToRAddress(topology.V4, 0).String(), rack.ToRAddress(topology.V6, 0).String()
	s.ip(t, node, "route", "add", foreign4, "via", tor4, "proto", "static")
	s.ip(t, node, "-6", "route", "add", foreign6, "via", tor6, "proto", "static")
	s.ip(t, node, "route", "add", "prohibit", far.String(), "proto", "static", "metric", "9000") // worse than ours
	foreign := s.foreignRoutes(t, node)
	for _, tc := range []struct {
		name string
		argv []string
	}{
		{"learned route deleted", []string{"route", "del", far.String(), "proto", lab.AgentProtocol()}},
		{"IPv6 route deleted", []string{"-6", "route", "del", far6.String(), "proto", lab.AgentProtocol()}},
		{"own block's route deleted", []string{"route", "del", "blackhole", own.String(), "proto", lab.AgentProtocol()}},
		{"replaced in place", []string{"route", "replace", far.String(), "via", tor4, "proto", lab.AgentProtocol(), "metric", "1700"}},
		{"all flushed", []string{"route", "flush", "proto", lab.AgentProtocol()}},
		{"all IPv6 flushed", []string{"-6", "route", "flush", "proto", lab.AgentProtocol()}},
		{"one of its own added", []string{"route", "add", "198.51.100.0/24", "via", tor4, "proto", lab.AgentProtocol(), "metric", "1700"}},
	} {
		m, err := s.StartMonitor(t.Context(), node)
		if err != nil {
			t.Fatal(err)
		}
		s.ip(t, node, tc.argv...)
		took := s.returns(t, before, true)
		record, err := m.Stop(t.Context())
		if err != nil {
			t.Error(err)
		}
		if !strings.Contains(record, "proto "+lab.AgentProtocol()) {
			t.Errorf("%s: it was not disturbed at all: %s", tc.name, record)
		}
		t.Logf("%s: repaired within %v", tc.name, took.Round(10*time.Millisecond))
		if took > repair {
			t.Errorf("%s: repaired after %v only", tc.name, took)
		}
	}
	if now := s.foreignRoutes(t, node); !slices.Equal(now, foreign) {
		t.Errorf("routes of others were\n%s\nand are\n%s", strings.Join(foreign, "\n"), strings.Join(now, "\n"))
	}
	s.ip(t, node, "route", "flush", "proto", "static")
	s.ip(t, node, "-6", "route", "flush", "proto", "static")
}

func (s *scene) ip(t *testing.T, role string, argv ...string) {
	t.Helper()
	if _, err := s.Exec(t.Context(), role, append([]string{"ip"}, argv...)...); err != nil {
		t.Fatal(err)
	}
}

// foreignRoutes are those of a node that are not Fairlead's.
func (s *scene) foreignRoutes(t *testing.T, node string) []string {
	t.Helper()
	var lines []string
	for _, f := range families() {
		routes, err := s.KernelRoutes(t.Context(), node, f)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range routes {
			if k.Protocol != lab.AgentProtocol() && k.Protocol != lab.PluginProtocol() {
				lines = append(lines, fmt.Sprintf("%s %s by %v %s %s", k.Type, k.Prefix, k.NextHops, k.Device, k.Protocol))
			}
		}
	}
	return sorted(lines)
}

// foreignRoute puts somebody's better route where the agent's for its block should
// be: under a block that a pod uses, which stays announced, and the pod reached,
// and under one that nobody uses, which is withdrawn.
func (s *scene) foreignRoute(t *testing.T) {
	s.foreignRouteInUse(t)
	s.delPod(t, s.d.Name)
	s.foreignRouteUnused(t)
	s.d = s.addPod(t, s.d.Node, s.d.Name)
}

func (s *scene) foreignRouteInUse(t *testing.T) {
	const node = "n2"
	before := s.settled(t, true)
	block, blocks := s.blockOf(t, node, topology.V4), s.blocksOf(t, node)
	traffic := s.start(t, s.others(node), pair{s.a, s.b}, pair{s.c, s.b})
	served := func(ctx context.Context) error { return s.served(ctx, node, blocks) }
	s.ip(t, node, "route", "add", "blackhole", block.String(), "proto", "static", "metric", "10")
	s.eventually(t, bound, "the reason in NodeState", func(ctx context.Context) error { return s.saysWhy(ctx, node, block) })
	s.always(t, 2*time.Second, "a block in use", served)
	// The next agent finds nothing of its own, and neither announces late nor withdraws.
	if err := s.agent(t, node).Kill9(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.ip(t, node, "route", "del", "blackhole", block.String(), "proto", lab.AgentProtocol())
	if err := s.agent(t, node).Start(); err != nil {
		t.Fatal(err)
	}
	s.eventually(t, bound, "blocks of the next agent", served)
	s.always(t, 3*time.Second, "a block in use, by the next agent", served)
	if err := s.saysWhy(t.Context(), node, block); err != nil {
		t.Error(err)
	}
	s.ip(t, node, "route", "del", "blackhole", block.String(), "proto", "static", "metric", "10")
	s.returns(t, before, true)
	traffic.stopWithoutLoss(t, "foreign route under a block in use")
	traffic.assertKept(t, "foreign route under a block in use", blocks)
}

func (s *scene) foreignRouteUnused(t *testing.T) {
	const node = "n4"
	before := s.settled(t, true)
	block, other := s.blockOf(t, node, topology.V4), s.blockOf(t, node, topology.V6)
	traffic := s.start(t, s.others(node), pair{s.a, s.c})
	s.ip(t, node, "route", "add", "blackhole", block.String(), "proto", "static", "metric", "10")
	absent := func(ctx context.Context) error {
		for _, r := range s.Routers() {
			if route, err := r.Route(ctx, block); err != nil || len(route.Paths) != 0 {
				return fmt.Errorf("%s holds %s: %+v, %w", r.Name, block, route.Paths, err)
			}
		}
		return nil
	}
	took := s.eventually(t, bound, "a block that is not programmed leaves the routers", absent)
	t.Logf("gone from all routers after %v", took.Round(10*time.Millisecond))
	s.eventually(t, bound, "the reason in NodeState", func(ctx context.Context) error { return s.saysWhy(ctx, node, block) })
	s.always(t, 3*time.Second, "a block that is not programmed", absent)
	if err := s.served(t.Context(), node, []netip.Prefix{other}); err != nil {
		t.Errorf("another block of the node: %v", err)
	}
	s.ip(t, node, "route", "del", "blackhole", block.String(), "proto", "static", "metric", "10")
	took = s.returns(t, before, true)
	t.Logf("same state %v after the foreign route went", took.Round(10*time.Millisecond))
	traffic.stopWithoutLoss(t, "foreign route")
	traffic.assertKept(t, "foreign route", []netip.Prefix{other})
}

// saysWhy looks for conditions that name the block and whose route is in its way.
func (s *scene) saysWhy(ctx context.Context, node string, block netip.Prefix) error {
	var st v1alpha1.NodeState
	if err := s.Client().Get(ctx, client.ObjectKey{Name: node}, &st); err != nil {
		return fmt.Errorf("get NodeState %s: %w", node, err)
	}
	for _, c := range st.Status.Conditions {
		if c.Type == v1alpha1.ConditionRoutesInSync && c.Status == "False" &&
			strings.Contains(c.Message, block.String()) && strings.Contains(c.Message, "static") {
			return nil
		}
	}
	return fmt.Errorf("conditions: %+v", st.Status.Conditions)
}

// storeDeleted deletes the address store under live pods, with and without an
// agent. It is made again, and no address is given out twice.
func (s *scene) storeDeleted(t *testing.T) {
	n := s.Node("n1")
	before := s.settled(t, true)
	traffic := s.start(t, nil, pair{s.a, s.c}, pair{s.b, s.a})
	for _, tc := range []struct {
		name    string
		running bool
	}{{"under a running agent", true}, {"while the agent is dead", false}} {
		agent := s.agent(t, n.Name)
		if !tc.running {
			if err := agent.Kill9(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		// A running agent may have made it anew before its folder is gone.
		if err := os.RemoveAll(storeDir(n)); err != nil && !errors.Is(err, unix.ENOTEMPTY) {
			t.Fatal(err)
		}
		if !tc.running {
			if err := agent.Start(); err != nil {
				t.Fatal(err)
			}
		}
		// Like a kubelet these try again until there is a store.
		taken := map[netip.Addr]string{}
		for _, a := range s.a.Addresses {
			taken[a] = s.a.Name
		}
		for _, name := range []string{"x1", "x2", "x3"} {
			for _, a := range s.addPod(t, n.Name, name).Addresses {
				if taken[a] != "" {
					t.Errorf("%s: %s was given to %s and to %s", tc.name, a, taken[a], name)
				}
				taken[a] = name
			}
		}
		x3, err := s.Pod("x3")
		if err != nil {
			t.Fatal(err)
		}
		s.answeredAll(t, []pair{{s.d, x3}, {s.d, s.a}})
		for _, name := range []string{"x1", "x2", "x3"} {
			s.delPod(t, name)
		}
		took := s.returns(t, before, true)
		t.Logf("%s: same state %v after the last change", tc.name, took.Round(10*time.Millisecond))
	}
	traffic.stopWithoutLoss(t, "store deleted")
}
