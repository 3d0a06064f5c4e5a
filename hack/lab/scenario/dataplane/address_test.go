package dataplane

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/dataplane"
	"fairlead.dev/hack/lab/topology"
)

// addressesByRule gives n3 a second address, of a range that the nodes' addresses
// are taken from by one rule and not by others. What the other nodes send it over
// VXLAN follows, under load. A node that claims another's address does not get it.
func (s *scene) addressesByRule(t *testing.T) {
	const node, claimant = "n3", "n4"
	usual, second := s.Node(node).Address(topology.V4), netip.MustParseAddr("172.16.2.213")
	config := &v1alpha1.BGPConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "r2"}}
	s.exec(t, node, "ip", "addr", "add", second.String()+"/24", "dev", "eth0")
	t.Cleanup(func() {
		s.patch(t, config, `{"spec":{"nodeAddress":null}}`)
		s.exec(t, node, "ip", "addr", "del", second.String()+"/24", "dev", "eth0")
	})
	s.encapsulatedMeanwhile(t, v1alpha1.EncapsulationVXLANCrossSubnet)
	s.sentTo(t, "n1", node, usual)
	l := s.start(t, pair{s.a, s.c}, pair{s.c, s.b})
	byRange := `{"source":"CIDR","cidrs":["172.16.2.208/28","fd00:172:16:2::/64"],"allowedCIDRs":["172.16.2.208/28"]}`
	reach := fmt.Sprintf(`{"source":"CanReach","canReach":[%q,%q]}`, s.Topology().OutsideAddress(topology.V4), s.Topology().OutsideAddress(topology.V6))
	rules := []struct {
		rule string
		want netip.Addr
	}{
		{byRange, second},
		{reach, usual},
		// Both are on such a link, and the one in use stays.
		{`{"source":"Interface","interfaces":["eth*"]}`, usual},
		{byRange, second},
	}
	for _, tc := range rules {
		s.patch(t, config, `{"spec":{"nodeAddress":null}}`) // no field of the last rule's
		s.patch(t, config, `{"spec":{"nodeAddress":`+tc.rule+`}}`)
		s.addressed(t, node, tc.want)
		s.sentTo(t, "n1", node, tc.want)
		l.more(t, enough)
	}
	l.stopWithoutLoss(t, len(rules))

	// It answers nobody who asks for that address, so that only its claim is wrong.
	s.exec(t, claimant, "sysctl", "-q", "-w", "net.ipv4.conf.all.arp_ignore=1")
	s.exec(t, claimant, "ip", "addr", "add", second.String()+"/32", "dev", "lo")
	t.Cleanup(func() {
		s.exec(t, claimant, "ip", "addr", "del", second.String()+"/32", "dev", "lo")
		s.exec(t, claimant, "sysctl", "-q", "-w", "net.ipv4.conf.all.arp_ignore=0")
	})
	s.eventually(t, "the refusal", func(ctx context.Context) error {
		if err := s.Client().Get(ctx, client.ObjectKeyFromObject(config), config); err != nil {
			return err
		}
		c := meta.FindStatusCondition(config.Status.Conditions, v1alpha1.ConditionAddressesAccepted)
		if c == nil || c.Status != metav1.ConditionFalse {
			return fmt.Errorf("condition %+v", c)
		}
		for _, part := range []string{node, claimant, second.String()} {
			if !strings.Contains(c.Message, part) {
				return fmt.Errorf("no %q in %q", part, c.Message)
			}
		}
		t.Logf("refused: %s", c.Message)
		return nil
	})
	s.addressed(t, claimant, s.Node(claimant).Address(topology.V4))
	s.addressed(t, node, second)
}

// addressed waits until a node's own addresses are its usual IPv6 one and this.
func (s *scene) addressed(t *testing.T, node string, v4 netip.Addr) {
	t.Helper()
	want := []string{v4.String(), s.Node(node).Address(topology.V6).String()}
	s.eventually(t, fmt.Sprintf("addresses %v of %s", want, node), func(ctx context.Context) error {
		n := &v1alpha1.BGPNode{}
		if err := s.Client().Get(ctx, client.ObjectKey{Name: node}, n); err != nil {
			return err
		}
		if !slices.Equal(n.Spec.Addresses, want) {
			return fmt.Errorf("%v", n.Spec.Addresses)
		}
		return nil
	})
}

// sentTo waits until a node's kernel sends what goes to another over VXLAN to an address.
func (s *scene) sentTo(t *testing.T, from, to string, underlay netip.Addr) {
	t.Helper()
	want := fmt.Sprintf("%s dst %s ", dataplane.OverlayMAC(to), underlay)
	s.eventually(t, from+" sends to "+want, func(ctx context.Context) error {
		fdb, err := s.Exec(ctx, from, "bridge", "fdb", "show", "dev", dataplane.OverlayLink)
		if err == nil && !strings.Contains(fdb, want) {
			err = fmt.Errorf("%s", fdb)
		}
		return err
	})
}
