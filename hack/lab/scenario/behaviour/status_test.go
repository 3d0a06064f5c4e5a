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

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/topology"
)

// statusAgrees compares what controller and agents write with routers, kernels and pods.
func (s *scene) statusAgrees(t *testing.T) {
	for _, n := range s.Topology().Nodes() {
		s.eventually(t, "NodeState/"+n.Name, func(ctx context.Context) error {
			state := nodeState(n.Name)
			if err := s.Client().Get(ctx, client.ObjectKeyFromObject(state), state); err != nil {
				return err
			}
			return errors.Join(s.nodeAgrees(ctx, n, state.Status), s.sessionsAgree(ctx, n, state.Status), s.blocksAgree(ctx, n, state.Status))
		})
	}
	for _, n := range s.Topology().Nodes() {
		s.bgpNodeAgrees(t, n)
	}
	for _, p := range s.Topology().Pools {
		o := pool(p.Name)
		s.holds(t, o, v1alpha1.ConditionReady, "True", "Active")
		s.holds(t, o, v1alpha1.ConditionOverlap, "False", "NoOverlap")
		s.holds(t, o, v1alpha1.ConditionExhausted, "False", "BlocksFree")
		if o.Status.BlocksLeased != 4 || o.Status.AddressesUsed != int64(len(s.Pods())) {
			t.Errorf("IPPool/%s: %+v, want 4 blocks and %d addresses used", p.Name, o.Status, len(s.Pods()))
		}
		s.plannedAs(t, o, p.BlockSize)
	}
	s.selectable(t)
}

func (s *scene) nodeAgrees(ctx context.Context, n topology.Node, st v1alpha1.NodeStateStatus) error {
	node := &corev1.Node{}
	if err := s.Client().Get(ctx, client.ObjectKey{Name: n.Name}, node); err != nil {
		return err
	}
	rack, _, err := s.Topology().Node(n.Name)
	if err != nil {
		return err
	}
	seen, err := s.neighbour(ctx, rack.ToRs[0].Name, rack.NodeAddress(topology.V4, n))
	if err != nil {
		return err
	}
	if st.NodeUID != string(node.UID) || st.ASNumber != seen.RemoteAS || st.RouterID != seen.RouterID {
		return fmt.Errorf("UID %s AS %d router ID %s, want %s %d %s", st.NodeUID, st.ASNumber, st.RouterID, node.UID, seen.RemoteAS, seen.RouterID)
	}
	routes, err := s.agentRoutes(ctx, n.Name)
	if err != nil {
		return err
	}
	if st.Routes != (v1alpha1.RouteCounts{Wanted: routes, Installed: routes}) {
		return fmt.Errorf("routes %+v, want the kernel's %d", st.Routes, routes)
	}
	for kind, reason := range map[string]string{
		v1alpha1.ConditionReady: "Synced", v1alpha1.ConditionRoutesInSync: "InSync", v1alpha1.ConditionSessionsEstablished: "AllEstablished",
		v1alpha1.ConditionAddressesAvailable: "Available", v1alpha1.ConditionConfigAccepted: "Accepted",
		v1alpha1.ConditionCNIConfigured: "Configured",
	} {
		if c := meta.FindStatusCondition(st.Conditions, kind); c == nil || c.Status != "True" || c.Reason != reason || c.LastTransitionTime.IsZero() {
			return fmt.Errorf("condition %s: %+v, want True with %s", kind, c, reason)
		}
	}
	return nil
}

// sessionsAgree compares each session with the FRR ToR's counters, and with the
// BIRD ToR's state.
func (s *scene) sessionsAgree(ctx context.Context, n topology.Node, st v1alpha1.NodeStateStatus) error {
	rack, _, err := s.Topology().Node(n.Name)
	if err != nil {
		return err
	}
	families := s.Topology().Families()
	if want := int64(len(rack.ToRs) * len(families)); st.SessionsWanted != want || st.SessionsEstablished != want || int64(len(st.Sessions)) != want {
		return fmt.Errorf("%d of %d sessions, %d listed, want %d", st.SessionsEstablished, st.SessionsWanted, len(st.Sessions), want)
	}
	for i, tor := range rack.ToRs {
		for _, f := range families {
			j := slices.IndexFunc(st.Sessions, func(x v1alpha1.SessionStatus) bool { return x.Peer == lab.PeerName(tor.Name, f) })
			if j < 0 {
				return fmt.Errorf("no session of %s", lab.PeerName(tor.Name, f))
			}
			got := st.Sessions[j]
			if got.Address != rack.ToRAddress(f, i).String() || got.ASNumber != int64(rack.ToRASN) || got.State != lab.Established || got.LastError != "" || got.Since == nil {
				return fmt.Errorf("session %+v", got)
			}
			if err := s.up(ctx, tor.Name, n.Name, f); err != nil {
				return err
			}
			if tor.Daemon == topology.FRR {
				if err := s.countersAgree(ctx, tor.Name, rack.NodeAddress(f, n), got); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (s *scene) countersAgree(ctx context.Context, tor string, node netip.Addr, got v1alpha1.SessionStatus) error {
	seen, err := s.neighbour(ctx, tor, node)
	if err != nil {
		return err
	}
	sent, err := s.sent(ctx, tor, node)
	if err != nil {
		return err
	}
	own, err := s.Blocks(ctx)
	if err != nil {
		return err
	}
	var pods int64 // what the pools cover, less what the node itself holds
	for _, p := range sent {
		for _, pool := range s.Topology().Pools {
			if pool.CIDR.Overlaps(p) && own[lab.Holder{Node: s.Topology().Owners()[node], Pool: pool.Name}] != p {
				pods++
			}
		}
	}
	f := seen.Families[topology.FamilyOf(node).String()+"Unicast"]
	if want := [3]int64{f.Sent, pods, f.Accepted}; want != [3]int64{got.Received, got.Accepted, got.Advertised} {
		return fmt.Errorf("session with %s: received, accepted, advertised %d, %d, %d, want %v of %v", tor, got.Received, got.Accepted, got.Advertised, want, sent)
	}
	// FRR counts whole seconds.
	began := time.Now().Add(-time.Duration(seen.UpMsec) * time.Millisecond)
	if off := began.Sub(got.Since.Time).Abs(); off > 5*time.Second {
		return fmt.Errorf("session with %s: since %v, the ToR says %v", tor, got.Since, began)
	}
	return nil
}

// blocksAgree compares blocks with the API's, the kernel's, the routers' and the pods.
func (s *scene) blocksAgree(ctx context.Context, n topology.Node, st v1alpha1.NodeStateStatus) error {
	var sum int64
	for _, p := range s.Topology().Pools {
		of, err := s.blocks(ctx, p.Name)
		if err != nil {
			return err
		}
		cidr, err := netip.ParsePrefix(of[n.Name].Spec.CIDR)
		if err != nil {
			return fmt.Errorf("block of pool %s: %w", p.Name, err)
		}
		var used int64
		for _, pod := range s.Pods() {
			if slices.ContainsFunc(pod.Addresses, cidr.Contains) {
				used++
			}
		}
		sum += used
		want := v1alpha1.BlockStatus{CIDR: cidr.String(), UID: string(of[n.Name].UID), Capacity: 64, Used: used, Programmed: true, Advertised: true}
		if !slices.Contains(st.Blocks, want) {
			return fmt.Errorf("blocks %+v, want %+v", st.Blocks, want)
		}
		if err := s.hasBlackholes(ctx, n.Name, cidr, cidr); err != nil {
			return err
		}
		if err := s.everywhere(ctx, cidr, cidr); err != nil {
			return err
		}
	}
	if st.AddressesUsed != sum || len(st.Blocks) != len(s.Topology().Pools) || len(st.ReleasedBlocks) != 0 {
		return fmt.Errorf("%d addresses used, %d blocks, released %v, want %d, %d and none", st.AddressesUsed, len(st.Blocks), st.ReleasedBlocks, sum, len(s.Topology().Pools))
	}
	return nil
}

func (s *scene) bgpNodeAgrees(t *testing.T, n topology.Node) {
	t.Helper()
	rack, _, err := s.Topology().Node(n.Name)
	if err != nil {
		t.Fatal(err)
	}
	node, got := &corev1.Node{}, &v1alpha1.BGPNode{}
	for _, o := range []client.Object{node, got} {
		if err := s.Client().Get(t.Context(), client.ObjectKey{Name: n.Name}, o); err != nil {
			t.Fatal(err)
		}
	}
	v4 := rack.NodeAddress(topology.V4, n).String()
	want := v1alpha1.BGPNodeSpec{
		NodeUID: string(node.UID), Addresses: []string{v4, rack.NodeAddress(topology.V6, n).String()}, ASNumber: int64(rack.NodeASN),
		RouterID: v4, ListenPort: 179, GracefulRestartSeconds: 120,
	}
	if d := cmp.Diff(want, got.Spec); d != "" {
		t.Errorf("BGPNode/%s (-want +got):\n%s", n.Name, d)
	}
	if d := cmp.Diff(node.Labels, got.Labels); d != "" {
		t.Errorf("labels of BGPNode/%s (-want +got):\n%s", n.Name, d)
	}
}

// selectable is what an agent's watch of its own blocks rests on.
func (s *scene) selectable(t *testing.T) {
	t.Helper()
	out, err := s.Kubectl(t.Context(), "get", "ipblocks", "--field-selector", "spec.nodeName=n2", "-o", "jsonpath={.items[*].spec.nodeName}")
	if err != nil || out != "n2 n2" {
		t.Errorf("blocks by field selector are those of %q, %v, want n2's two", out, err)
	}
}

// columns asserts the columns of kubectl get that are asked for on call.
func (s *scene) columns(t *testing.T) {
	v4, v6 := s.block(t, "n1", "pods-v4"), s.block(t, "n1", "pods-v6")
	for _, tc := range []struct {
		kind string
		want []string // lines, without the age, their words one space apart
	}{
		{"ippools", []string{
			"NAME CIDR STATE READY LEASED BLOCKS USED AGE",
			"pods-v4 10.244.0.0/16 Active True 4 1024 3", "pods-v6 fd00:10:244::/64 Active True 4 288230376151711744 3",
		}},
		{"ipblocks", []string{
			"NAME CIDR NODE POOL STATE AGE",
			fmt.Sprintf("%s %s n1 pods-v4 Leased", v1alpha1.BlockName(v4), v4), fmt.Sprintf("%s %s n1 pods-v6 Leased", v1alpha1.BlockName(v6), v6),
		}},
		{"bgppeers", []string{"NAME ADDRESS ASN UP WANTED READY AGE", "r1-tor1-ipv4 172.16.1.1 65001 2 2 True", "r2-tor2-ipv6 fd00:172:16:2::2 65002 2 2 True"}},
		{"nodestates", []string{"NAME READY REACHABLE ASN UP SESSIONS ROUTES USED ADDRESSES AGE", "n1 True True 65101 4 4 8 2 Available", "n4 True True 65102 4 4 8 0 Available"}},
		{"bgpconfigurations", []string{"NAME ASN MESH NODES READY AGE", "r1 65101 Auto 2 True"}},
		{"bgpnodes", []string{"NAME ASN ROUTER-ID ADDRESSES MESH AGE", `n1 65101 172.16.1.11 ["172.16.1.11","fd00:172:16:1::b"]`}},
	} {
		s.eventually(t, "kubectl get "+tc.kind, func(ctx context.Context) error {
			out, err := s.Kubectl(ctx, "get", tc.kind)
			if err != nil {
				return err
			}
			var lines []string
			for _, l := range strings.Split(out, "\n") {
				lines = append(lines, strings.Join(strings.Fields(l), " "))
			}
			for _, want := range tc.want {
				if !slices.ContainsFunc(lines, func(l string) bool { return l == want || strings.HasPrefix(l, want+" ") }) {
					return fmt.Errorf("no line %q in\n%s", want, out)
				}
			}
			return nil
		})
	}
}
