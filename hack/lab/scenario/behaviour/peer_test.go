package behaviour

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/topology"
)

// peerFields is about holdTimeSeconds, keepaliveSeconds, allowLocalAS and
// nodeSelector, changed at once.
func (s *scene) peerFields(t *testing.T) {
	n1, n2 := s.Node("n1").Address(topology.V4), s.Node("n2").Address(topology.V4)
	before, err := s.neighbour(t.Context(), "r1-tor1", n1)
	if err != nil {
		t.Fatal(err)
	}
	if before.HoldMsec != 9000 {
		t.Fatalf("hold time is %d ms before, want 9000", before.HoldMsec)
	}
	block := s.block(t, "n2", "pods-v4")
	s.change(t, peer("r1-tor1-ipv4"), `{"spec":{"allowLocalAS":0,"holdTimeSeconds":6,"keepaliveSeconds":1}}`)
	s.change(t, peer("r1-tor2-ipv4"), `{"spec":{"allowLocalAS":0}}`)
	one := peer("r1-tor2-ipv6")
	s.change(t, one, `{"spec":{"nodeSelector":{"matchLabels":{"kubernetes.io/hostname":"n1"}}}}`)

	for _, n := range []netip.Addr{n1, n2} {
		// A busy machine's keepalives may come late, but not by half.
		s.eventually(t, "timers of "+n.String(), func(ctx context.Context) error {
			got, err := s.neighbour(ctx, "r1-tor1", n)
			if err != nil || got.established() != nil {
				return errors.Join(err, got.established())
			}
			if got.HoldMsec != 6000 {
				return fmt.Errorf("hold time %d ms, want 6000", got.HoldMsec)
			}
			sinceUp, per := got.UpMsec/1000, got.MessageStats.KeepalivesReceived
			if sinceUp < 6 || per < sinceUp/2 {
				return fmt.Errorf("%d keepalives in %d s, want one a second over at least 6 s", per, sinceUp)
			}
			return nil
		})
	}
	s.eventually(t, "routes with our own AS dropped", func(ctx context.Context) error {
		return errors.Join(s.noRoute(ctx, "n1", block), s.up(ctx, "r1-tor1", "n1", topology.V4), s.up(ctx, "r1-tor2", "n1", topology.V4))
	})
	if err := s.hasRoute(t.Context(), "n1", s.block(t, "n2", "pods-v6"), s.Node("n2").Address(topology.V6)); err != nil {
		t.Errorf("where allowLocalAS is still 1: %v", err)
	}
	if err := s.hasRoute(t.Context(), "n3", block, s.hops("n3", topology.V4)...); err != nil {
		t.Errorf("in the other AS: %v", err)
	}
	s.eventually(t, "peer of n1 only", func(ctx context.Context) error {
		return errors.Join(s.down(ctx, "r1-tor2", "n2", topology.V6), s.up(ctx, "r1-tor2", "n1", topology.V6), s.up(ctx, "r1-tor1", "n2", topology.V6))
	})
	s.holds(t, one, v1alpha1.ConditionEstablished, "True", "AllEstablished")
	if one.Status.SessionsWanted != 1 || one.Status.SessionsEstablished != 1 {
		t.Errorf("sessions of %s: %+v, want 1 of 1", one.Name, one.Status)
	}
	s.connected(t)

	s.patch(t, peer("r1-tor1-ipv4"), `{"spec":{"allowLocalAS":1}}`)
	s.eventually(t, "routes with our own AS back", func(ctx context.Context) error { return s.hasRoute(ctx, "n1", block, n2) })
}

// hops are a node's ways out of its rack.
func (s *scene) hops(node string, f topology.Family) []netip.Addr {
	rack, _, err := s.Topology().Node(node)
	if err != nil {
		return nil
	}
	var hops []netip.Addr
	for i := range rack.ToRs {
		hops = append(hops, rack.ToRAddress(f, i))
	}
	return hops
}

func (s *scene) route(ctx context.Context, node string, p netip.Prefix) (lab.KernelRoute, error) {
	routes, err := s.KernelRoutes(ctx, node, topology.FamilyOf(p.Addr()))
	if err != nil {
		return lab.KernelRoute{}, err
	}
	for _, k := range routes {
		if k.Prefix == p && k.Protocol == lab.AgentProtocol() {
			return k, nil
		}
	}
	return lab.KernelRoute{}, nil
}

// hasRoute is nil while a node's kernel has the agent's route by these next hops.
func (s *scene) hasRoute(ctx context.Context, node string, p netip.Prefix, hops ...netip.Addr) error {
	k, err := s.route(ctx, node, p)
	if err == nil && (k.Prefix != p || !slices.Equal(k.NextHops, hops)) {
		err = fmt.Errorf("kernel of %s: %s by %v, want %v", node, p, k.NextHops, hops)
	}
	return err
}

func (s *scene) noRoute(ctx context.Context, node string, p netip.Prefix) error {
	k, err := s.route(ctx, node, p)
	if err == nil && k.Prefix.IsValid() {
		err = fmt.Errorf("kernel of %s has %s by %v", node, p, k.NextHops)
	}
	return err
}

// peerDials is about passive, connectRetrySeconds and address: who dials whom and
// how often, counted by the nodes' kernels.
func (s *scene) peerDials(t *testing.T) {
	// Two addresses that refuse connections.
	often, seldom := netip.MustParseAddr("192.168.200.1"), netip.MustParseAddr("192.168.200.2")
	s.addAddress(t, topology.RoleControlPlane, seldom)
	dialler := s.countDials(t, "n1", often, seldom)
	quick, slow := newPeer("quick", often.String(), 65009, "n1"), newPeer("slow", seldom.String(), 65009, "n1")
	quick.Spec.ConnectRetrySeconds, slow.Spec.ConnectRetrySeconds = 1, 4
	s.create(t, quick)
	s.create(t, slow)
	began := time.Now()

	waiter := s.countDials(t, "n3")
	for _, tor := range []string{"r2-tor1", "r2-tor2"} {
		s.resetSessions(t, tor)
	}
	s.eventually(t, "sessions dialled by the ToRs", func(ctx context.Context) error {
		in, err := waiter.packets(ctx, "in")
		if err == nil && in < 4 {
			err = fmt.Errorf("%d of 4 sessions dialled", in)
		}
		for _, f := range s.Topology().Families() {
			err = errors.Join(err, s.up(ctx, "r2-tor1", "n3", f), s.up(ctx, "r2-tor2", "n3", f))
		}
		return err
	})

	var fast, rare int64
	s.eventually(t, "attempts to connect", func(ctx context.Context) (err error) {
		if rare, err = dialler.packets(ctx, counterName(seldom)); err != nil || rare < 4 {
			return errors.Join(err, fmt.Errorf("%d", rare))
		}
		fast, err = dialler.packets(ctx, counterName(often))
		return err
	})
	took := time.Since(began)
	t.Logf("in %v %d attempts each 1 to 2 s, and %d each 4 to 8 s", took.Round(time.Millisecond), fast, rare)
	if limit := took/slow4 + 1; rare > int64(limit) {
		t.Errorf("connectRetrySeconds 4: %d attempts in %v, want at most %d", rare, took, limit)
	}
	if limit := took/time.Second + 1; fast > int64(limit) || fast < int64(limit)/3 {
		t.Errorf("connectRetrySeconds 1: %d attempts in %v, want %d to %d", fast, took, limit/3, limit)
	}
	s.holds(t, quick, v1alpha1.ConditionEstablished, "False", "SessionsDown", "n1", "refused")

	// Another address is another neighbour.
	s.patch(t, quick, fmt.Sprintf(`{"spec":{"address":%q}}`, "192.168.200.3"))
	s.addAddress(t, topology.RoleControlPlane, netip.MustParseAddr("192.168.200.3"))
	s.holds(t, quick, v1alpha1.ConditionEstablished, "False", "SessionsDown", "192.168.200.3:179 refused")
	if out, err := waiter.packets(t.Context(), "out"); err != nil || out != 0 {
		t.Errorf("passive n3 has dialled %d times, %v", out, err)
	}
	s.connected(t)
}

const slow4 = 4 * time.Second

// addAddress gives a role's management link one more address until the test ends.
func (s *scene) addAddress(t *testing.T, role string, a netip.Addr) {
	t.Helper()
	set := func(ctx context.Context, what string) {
		if _, err := s.Exec(ctx, role, "ip", "addr", what, a.String()+"/24", "dev", "mgmt"); err != nil {
			t.Error(err)
		}
	}
	set(t.Context(), "add")
	t.Cleanup(func() { set(context.WithoutCancel(t.Context()), "del") })
}

// resetSessions has a router end all its sessions and begin anew.
func (s *scene) resetSessions(t *testing.T, router string) {
	t.Helper()
	r := s.Router(router)
	if r.Daemon == topology.FRR {
		s.vtysh(t, router, "clear bgp *")
		return
	}
	out, err := r.Birdc(t.Context(), "restart all")
	if err != nil {
		t.Fatalf("restart sessions of %s: %v %s", router, err, out)
	}
}

// vtysh runs lines in one go.
func (s *scene) vtysh(t *testing.T, router string, lines ...string) {
	t.Helper()
	var args []string
	for _, l := range lines {
		args = append(args, "-c", l)
	}
	argv, err := s.Router(router).VtyshCommand(args...)
	if err != nil {
		t.Fatal(err)
	}
	// vtysh reaches its daemons by files; any namespace will do.
	if out, err := s.Exec(t.Context(), router, argv...); err != nil {
		t.Fatalf("%s: %s: %v %s", router, strings.Join(lines, "; "), err, out)
	}
}
