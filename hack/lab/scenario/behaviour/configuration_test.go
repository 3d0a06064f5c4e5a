package behaviour

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/topology"
)

// configuration is about BGPConfiguration: one with two requirements governs n2
// alone, in spite of that of its rack.
func (s *scene) configuration(t *testing.T) {
	const tor = "r1-tor1"
	s.anyNodeASN(t, tor)
	special := configuration("special")
	special.Spec = v1alpha1.BGPConfigurationSpec{
		NodeSelector: &metav1.LabelSelector{MatchLabels: map[string]string{lab.RackLabel: "r1", corev1.LabelHostname: "n2"}},
		ASNumber:     65199, ListenPort: 1790, GracefulRestartSeconds: 77, NodeMesh: v1alpha1.NodeMeshEnabled,
	}
	s.create(t, special)
	s.change(t, configuration("r1"), `{"spec":{"nodeMesh":"Enabled"}}`)

	block := s.block(t, "n2", "pods-v4")
	s.eventually(t, "n2 in an AS of its own", func(ctx context.Context) error {
		n, err := s.neighbour(ctx, tor, s.Node("n2").Address(topology.V4))
		if err != nil || n.established() != nil {
			return errors.Join(err, n.established())
		}
		if n.RemoteAS != 65199 || n.Restart.Timers.Received != 77 {
			return fmt.Errorf("AS %d, restart time %d s, want 65199 and 77", n.RemoteAS, n.Restart.Timers.Received)
		}
		route, err := s.Router(tor).Route(ctx, block)
		if err != nil {
			return err
		}
		for _, p := range route.Paths {
			if p.Best && len(p.ASPath) == 1 && p.ASPath[0] == 65199 {
				return nil
			}
		}
		return fmt.Errorf("%s has %+v, want a path of AS 65199 alone", tor, route)
	})
	s.eventually(t, "n1 as before", func(ctx context.Context) error {
		n, err := s.neighbour(ctx, tor, s.Node("n1").Address(topology.V4))
		if err == nil && (n.RemoteAS != 65101 || n.Restart.Timers.Received != 120) {
			err = fmt.Errorf("AS %d, restart time %d s, want 65101 and 120", n.RemoteAS, n.Restart.Timers.Received)
		}
		return errors.Join(err, n.established())
	})
	// The BIRD ToR still expects the rack's AS.
	s.holds(t, peer("r1-tor2-ipv4"), v1alpha1.ConditionEstablished, "False", "SessionsDown", "1 of 2", "node n2", "AS 65199")

	s.eventually(t, "mesh of n1 and n2", func(ctx context.Context) error {
		return errors.Join(s.listens(ctx, "n2", 1790), s.listens(ctx, "n1", 179), s.connection(ctx, "n2", "n1"))
	})
	for _, c := range []struct {
		name string
		want int64
	}{{"special", 1}, {"r1", 1}, {"r2", 2}} {
		o := configuration(c.name)
		s.holds(t, o, v1alpha1.ConditionConflict, "False", "NoConflict")
		if o.Status.NodesGoverned != c.want {
			t.Errorf("%s governs %d nodes, want %d", c.name, o.Status.NodesGoverned, c.want)
		}
	}

	before, err := s.neighbour(t.Context(), tor, s.Node("n2").Address(topology.V4))
	if err != nil {
		t.Fatal(err)
	}
	s.patch(t, special, `{"spec":{"listenPort":-1,"nodeMesh":"Disabled"}}`)
	// The session of before the patch may be read a moment before it ends, and
	// what follows a moment after it: only the next one says that n2 has begun anew.
	var after frrNeighbour
	s.eventually(t, "n2 listens nowhere and dials", func(ctx context.Context) error {
		var err, linked error
		if after, err = s.neighbour(ctx, tor, s.Node("n2").Address(topology.V4)); err == nil {
			err = errors.Join(after.established(), after.dialled(before))
		}
		if s.connection(ctx, "n2", "n1") == nil {
			linked = errors.New("n2 is still connected with n1")
		}
		return errors.Join(err, s.listens(ctx, "n2"), linked)
	})

	twin := configuration("twin")
	twin.Spec = v1alpha1.BGPConfigurationSpec{NodeSelector: special.Spec.NodeSelector, ASNumber: 65198}
	s.create(t, twin)
	s.holds(t, special, v1alpha1.ConditionConflict, "True", "SameSpecificity", "BGPConfiguration/twin", "node n2", "follows special")
	s.holds(t, twin, v1alpha1.ConditionConflict, "True", "SameSpecificity", "BGPConfiguration/special", "nodeSelector")
	if c := meta.FindStatusCondition(twin.Status.Conditions, v1alpha1.ConditionReady); c == nil || twin.Status.NodesGoverned != 0 {
		t.Errorf("twin: %+v, want no node governed", twin.Status)
	}
	// n2 follows special as before: its session is the same one.
	n, err := s.neighbour(t.Context(), tor, s.Node("n2").Address(topology.V4))
	if err != nil || n.established() != nil || n.RemoteAS != 65199 || n.PortForeign != after.PortForeign {
		t.Errorf("session of n2 is %+v, %v, want that of AS 65199 from port %d", n, err, after.PortForeign)
	}
	// The sessions of both families are not back at the same time.
	s.eventually(t, "routes between n1 and n2", func(ctx context.Context) error {
		return errors.Join(s.routed(ctx, "n1", "n2"), s.routed(ctx, "n2", "n1"))
	})
	s.connected(t)
}

// dialled is nil if the neighbour has dialled, and not that earlier connection.
func (n frrNeighbour) dialled(earlier frrNeighbour) error {
	switch {
	case n.PortLocal != 179:
		return fmt.Errorf("the ToR's port is %d: it has dialled", n.PortLocal)
	case n.PortForeign == earlier.PortForeign:
		return fmt.Errorf("the connection from port %d is that of before", n.PortForeign)
	}
	return nil
}

// routed is nil when the kernel of one node has routes to all blocks of the other.
func (s *scene) routed(ctx context.Context, from, to string) error {
	blocks, err := s.Blocks(ctx)
	if err != nil {
		return err
	}
	for holder, block := range blocks {
		if holder.Node != to {
			continue
		}
		routes, err := s.KernelRoutes(ctx, from, topology.FamilyOf(block.Addr()))
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(routes, func(k lab.KernelRoute) bool { return k.Prefix == block }) {
			return fmt.Errorf("%s has no route to %s of %s", from, block, to)
		}
	}
	return nil
}

// anyNodeASN lets an FRR ToR of the first rack take nodes of any AS until the test ends.
func (s *scene) anyNodeASN(t *testing.T, tor string) {
	t.Helper()
	set := func(asn string) []string {
		lines := []string{"configure terminal", fmt.Sprintf("router bgp %d", s.Topology().Racks[0].ToRASN)}
		for _, f := range s.Topology().Families() {
			lines = append(lines, fmt.Sprintf("neighbor nodes%d remote-as %s", f, asn))
		}
		return lines
	}
	s.vtysh(t, tor, set("external")...)
	t.Cleanup(func() {
		argv, err := s.Router(tor).VtyshCommand()
		for _, l := range set(fmt.Sprint(s.Topology().Racks[0].NodeASN)) {
			argv = append(argv, "-c", l)
		}
		if err == nil {
			_, err = s.Exec(context.WithoutCancel(t.Context()), tor, argv...)
		}
		if err != nil {
			t.Error(err)
		}
	})
}

// listens is nil while the speaker of a node listens on these ports only.
func (s *scene) listens(ctx context.Context, node string, ports ...int) error {
	out, err := s.Node(node).Exec(ctx, "ss", "-lntH")
	if err != nil {
		return err
	}
	got := map[string]bool{}
	for _, line := range strings.Split(out, "\n") {
		if fields := strings.Fields(line); len(fields) > 3 && !strings.HasPrefix(fields[3], "127.") {
			got[fields[3][strings.LastIndexByte(fields[3], ':')+1:]] = true
		}
	}
	want := map[string]bool{}
	for _, p := range ports {
		want[fmt.Sprint(p)] = true
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		return fmt.Errorf("%s listens on %v, want %v", node, got, want)
	}
	return nil
}

// connection is nil while a node has a connection that it has dialled to another's
// speaker, in each family.
func (s *scene) connection(ctx context.Context, from, to string) error {
	out, err := s.Node(from).Exec(ctx, "ss", "-tnH", "state", "established")
	if err != nil {
		return err
	}
	for _, f := range s.Topology().Families() {
		if a := s.Node(to).Address(f); !strings.Contains(out, fmt.Sprintf(" %s:", a)) && !strings.Contains(out, fmt.Sprintf("[%s]:", a)) {
			return fmt.Errorf("%s has no connection to %s:\n%s", from, a, out)
		}
	}
	return nil
}
