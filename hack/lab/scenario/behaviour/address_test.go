package behaviour

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/labtest"
	"fairlead.dev/hack/lab/topology"
)

// addressFound is about a node that is to be reached by another address than its
// InternalIP. The ToR sees which one it is by the router ID.
func (s *scene) addressFound(t *testing.T) {
	const node, tor = "n2", "r1-tor1"
	usual := s.Node(node).Address(topology.V4)
	second := addressAt(usual, 77)
	address := func(verb string) {
		if _, err := s.Exec(context.WithoutCancel(t.Context()), node, "ip", "addr", verb, second.String()+"/32", "dev", "eth0"); err != nil {
			t.Fatal(err)
		}
	}
	address("add")
	t.Cleanup(func() { address("del") })

	found := configuration("found")
	found.Spec = v1alpha1.BGPConfigurationSpec{
		NodeSelector: &metav1.LabelSelector{MatchLabels: map[string]string{lab.RackLabel: "r1", corev1.LabelHostname: node}},
		ASNumber:     65101,
		NodeAddress:  &v1alpha1.NodeAddress{Source: v1alpha1.NodeAddressCIDR, CIDRs: []string{second.String() + "/32"}},
	}
	s.create(t, found)
	// What nobody allowed is found and not taken, and all stays as it was.
	s.holds(t, found, v1alpha1.ConditionAddressesAccepted, "False", "AddressRefused", node, second.String(), "allowedCIDRs")
	s.holds(t, nodeState(node), v1alpha1.ConditionNodeAddresses, "False", "NotAccepted", second.String())
	if got := s.addressesOf(t, node); !slices.Contains(got, usual.String()) {
		t.Errorf("%s has %v, want %s still", node, got, usual)
	}
	s.patch(t, found, fmt.Sprintf(`{"spec":{"nodeAddress":{"allowedCIDRs":[%q]}}}`, netip.PrefixFrom(second, 24).Masked()))
	s.holds(t, found, v1alpha1.ConditionAddressesAccepted, "True", "Accepted")
	s.identified(t, tor, usual, second)
	s.holds(t, nodeState(node), v1alpha1.ConditionNodeAddresses, "True", "OnNode", second.String())
	// The sessions of both families are not back at the same time.
	s.eventually(t, "routes between n1 and n2", func(ctx context.Context) error {
		return errors.Join(s.all(ctx, s.up, tor), s.routed(ctx, "n1", node), s.routed(ctx, node, "n1"))
	})
	s.connected(t)
}

// addressesOf are what the controller gave a node.
func (s *scene) addressesOf(t *testing.T, node string) []string {
	t.Helper()
	var n v1alpha1.BGPNode
	if err := s.Client().Get(t.Context(), client.ObjectKey{Name: node}, &n); err != nil {
		t.Fatal(err)
	}
	return n.Spec.Addresses
}

// identified waits until a router's neighbour has this router ID, established.
func (s *scene) identified(t *testing.T, tor string, neighbour, id netip.Addr) {
	t.Helper()
	s.eventually(t, fmt.Sprintf("%s sees %s as %s", tor, neighbour, id), func(ctx context.Context) error {
		n, err := s.neighbour(ctx, tor, neighbour)
		if err == nil && n.RouterID != id.String() {
			err = fmt.Errorf("router ID %s", n.RouterID)
		}
		if err != nil {
			return err
		}
		return n.established()
	})
}

// addressAt is another host of the same /24.
func addressAt(a netip.Addr, host byte) netip.Addr {
	raw := a.As4()
	raw[3] = host
	return netip.AddrFrom4(raw)
}

// agentSilent kills an agent and leaves it dead. That is said, and nothing is
// taken from the node for it.
func (s *scene) agentSilent(t *testing.T) {
	const node = "n3"
	s.holds(t, nodeState(node), v1alpha1.ConditionAgentReachable, "True", "LeaseRenewed")
	routes, err := s.agentRoutes(t.Context(), node)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.agent(t, node).Kill9(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !s.agent(t, node).Running() {
			s.startAgent(t, node)
		}
	})
	// A Lease holds for 40 s, nearly as long as anything else may take.
	labtest.Eventually(t, s.Lab, 2*bound, "the agent's death is noticed", func(ctx context.Context) error {
		n := nodeState(node)
		if err := s.Client().Get(ctx, client.ObjectKeyFromObject(n), n); err != nil {
			return err
		}
		for _, c := range n.Status.Conditions {
			if c.Type == v1alpha1.ConditionAgentReachable && c.Status == "Unknown" {
				return nil
			}
		}
		return fmt.Errorf("conditions: %+v", n.Status.Conditions)
	})
	out, code, err := s.fairlead(t.Context(), topology.RoleControlPlane, "status")
	if err != nil || code != 1 {
		t.Errorf("fairlead status: exit code %d, %v", code, err)
	}
	s.says(t, "fairlead status", out, "NodeState/"+node, "AgentReachable=Unknown", "does not answer: last known")
	if now, err := s.agentRoutes(t.Context(), node); err != nil || now != routes {
		t.Errorf("%d routes of the agent, %d before it died: %v", now, routes, err)
	}
	for _, f := range s.Topology().Families() {
		s.answered(t, s.c, s.a.Address(f))
	}
	s.startAgent(t, node)
	s.holds(t, nodeState(node), v1alpha1.ConditionAgentReachable, "True", "LeaseRenewed")
}
