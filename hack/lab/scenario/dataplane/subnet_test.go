package dataplane

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/dataplane"
	"fairlead.dev/hack/lab/topology"
)

// otherSubnet is one that r1's segment carries beside its own, once the ToRs have
// addresses in it.
func otherSubnet(f topology.Family) netip.Prefix {
	if f == topology.V4 {
		return netip.MustParsePrefix("172.16.9.0/24")
	}
	return netip.MustParsePrefix("fd00:172:16:9::/64")
}

// subnetChanges gives n2 addresses of another subnet than its rack's other node
// has, and takes the old ones away, under load. What goes to it and what it sends
// goes by the overlay then, and not a packet is lost; nor on the way back.
func (s *scene) subnetChanges(t *testing.T) {
	const node = "n2"
	s.lenient(t)
	s.encapsulatedMeanwhile(t, v1alpha1.EncapsulationVXLANCrossSubnet)
	rack, n, err := s.Topology().Node(node)
	if err != nil {
		t.Fatal(err)
	}
	old, other := map[topology.Family]netip.Prefix{}, map[topology.Family]netip.Prefix{}
	for _, f := range families() {
		subnet := otherSubnet(f)
		moved := topology.Rack{Subnet: topology.Pair{V4: otherSubnet(topology.V4), V6: otherSubnet(topology.V6)}}
		old[f] = netip.PrefixFrom(rack.NodeAddress(f, n), rack.Subnet.Of(f).Bits())
		other[f] = netip.PrefixFrom(moved.NodeAddress(f, n), subnet.Bits())
		for i, tor := range rack.ToRs {
			s.address(t, tor.Name, "rack", netip.PrefixFrom(moved.ToRAddress(f, i), subnet.Bits()))
		}
	}
	l := s.start(t, pair{s.a, s.b}, pair{s.b, s.a}, pair{s.c, s.b})
	move := func(from, to map[topology.Family]netip.Prefix, away bool) {
		t.Helper()
		for _, f := range families() {
			s.exec(t, node, "ip", "addr", "replace", to[f].String(), "dev", "eth0")
			for _, from := range []string{"n1", "n3"} {
				s.answered(t, from, to[f].Addr()) // the fabric knows the subnet
			}
		}
		s.report(t, node, to)
		s.eventually(t, "ways to "+node, func(ctx context.Context) error { return s.sentOver(ctx, away, "n1", node) })
		l.more(t, enough)
		for _, f := range families() {
			s.exec(t, node, "ip", "addr", "del", from[f].String(), "dev", "eth0")
		}
		s.eventually(t, "ways from "+node, func(ctx context.Context) error { return s.sentOver(ctx, away, node, "n1") })
		l.more(t, enough)
	}
	t.Cleanup(func() {
		s.configure(t, node, "eth0")
		s.report(t, node, old)
		for _, f := range families() {
			s.exec(t, node, "sh", "-c", "ip addr del "+other[f].String()+" dev eth0 2>/dev/null; true")
		}
	})
	move(old, other, true)
	move(other, old, false)
	l.stopWithoutLoss(t, 4)
}

// address gives a link one more address, until the end of the test.
func (s *scene) address(t *testing.T, role, link string, a netip.Prefix) {
	t.Helper()
	s.exec(t, role, "ip", "addr", "add", a.String(), "dev", link)
	t.Cleanup(func() { s.exec(t, role, "ip", "addr", "del", a.String(), "dev", link) })
}

// report tells the API server of a node's addresses, as its kubelet would.
func (s *scene) report(t *testing.T, node string, addresses map[topology.Family]netip.Prefix) {
	t.Helper()
	list := []string{fmt.Sprintf(`{"type":"Hostname","address":%q}`, node)}
	for _, f := range families() {
		list = append(list, fmt.Sprintf(`{"type":"InternalIP","address":%q}`, addresses[f].Addr()))
	}
	patch := `{"status":{"addresses":[` + strings.Join(list, ",") + `]}}`
	object := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}}
	// Also at the test's end, when its context is done.
	ctx := context.WithoutCancel(t.Context())
	if err := s.Client().Status().Patch(ctx, object, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		t.Fatal(err)
	}
}

// sentOver is nil if a node sends to another one's pods over the overlay, or does
// not, in both families.
func (s *scene) sentOver(ctx context.Context, overlay bool, from, to string) error {
	for _, f := range families() {
		way, err := s.Exec(ctx, from, "ip", "-o", "route", "get", s.podOf(to).Address(f).String())
		if err != nil {
			return err
		}
		if strings.Contains(way, " dev "+dataplane.OverlayLink+" ") != overlay {
			return fmt.Errorf("%s sends to %s so: %s", from, to, way)
		}
	}
	return nil
}
