package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
)

// addressed waits until a node has these addresses.
func (e env) addressed(name string, want ...string) *v1alpha1.BGPNode {
	e.Helper()
	n := &v1alpha1.BGPNode{}
	e.eventually("BGPNode "+name, func() string {
		if err := e.Get(e.Context(), client.ObjectKey{Name: name}, n); err != nil {
			return err.Error()
		}
		if !slices.Equal(n.Spec.Addresses, want) {
			return fmt.Sprint(n.Spec.Addresses)
		}
		return ""
	})
	return n
}

// A rule reaches the agent although the node has no address yet, and what the
// agent finds becomes the node's.
func TestAddressByRule(t *testing.T) {
	e := newEnv(t)
	e.start(quick())
	config, node := byRange("c", nil, "10.1.0.0/24"), newNode("n", 0, nil)
	e.create(config, node)
	n := e.addressed("n")
	if n.Spec.NodeAddress == nil || n.Spec.NodeAddress.CIDRs[0] != "10.0.0.0/8" || n.Spec.RouterID == "" {
		t.Errorf("spec %+v", n.Spec)
	}
	e.reports("n", v1alpha1.NodeStateStatus{NodeUID: string(node.UID), CandidateAddresses: []string{"10.1.0.9", "2001:db8::9"}})
	if n := e.addressed("n", "10.1.0.9"); n.Spec.RouterID != "10.1.0.9" {
		t.Errorf("router ID %s", n.Spec.RouterID)
	}
	e.told("n", reasonAddressRefused, "2001:db8::9", "allowedCIDRs")
	message := has(e, config, ofConfig, v1alpha1.ConditionAddressesAccepted, metav1.ConditionFalse, reasonAddressRefused)
	for _, text := range []string{"node n", "2001:db8::9", "spec.nodeAddress.allowedCIDRs"} {
		if !strings.Contains(message, text) {
			t.Errorf("message %q lacks %q", message, text)
		}
	}
	edit(e, config, func(c *v1alpha1.BGPConfiguration) {
		c.Spec.NodeAddress.AllowedCIDRs = append(c.Spec.NodeAddress.AllowedCIDRs, "2001:db8::/64")
	})
	e.addressed("n", "10.1.0.9", "2001:db8::9")
	has(e, config, ofConfig, v1alpha1.ConditionAddressesAccepted, metav1.ConditionTrue, reasonAccepted)

	// What is not found for a while deletes nothing; another that is found counts.
	e.reports("n", v1alpha1.NodeStateStatus{NodeUID: string(node.UID)})
	e.create(newNode("later", 0, nil)) // its BGPNode is written by a later pass
	e.addressed("later")
	e.addressed("n", "10.1.0.9", "2001:db8::9")
	e.reports("n", v1alpha1.NodeStateStatus{NodeUID: string(node.UID), CandidateAddresses: []string{"10.1.0.10"}})
	e.addressed("n", "10.1.0.10", "2001:db8::9")
}

// A node that says that it has another's address does not get it, whatever range
// is allowed.
func TestAddressOfAnother(t *testing.T) {
	e := newEnv(t)
	e.start(quick())
	victim, thief := newNode("z-victim", 0, nil, "10.1.0.1"), newNode("a-thief", 0, rack("r1"))
	config := byRange("c", byLabel("rack", "r1"), "10.1.0.0/24")
	e.create(victim, thief, config)
	e.addressed("z-victim", "10.1.0.1")
	e.reports("a-thief", v1alpha1.NodeStateStatus{NodeUID: string(thief.UID), CandidateAddresses: []string{"10.1.0.2"}})
	e.addressed("a-thief", "10.1.0.2")
	e.reports("a-thief", v1alpha1.NodeStateStatus{NodeUID: string(thief.UID), CandidateAddresses: []string{"10.1.0.1"}})
	e.told("a-thief", reasonAddressRefused, "10.1.0.1", "node z-victim's")
	message := has(e, config, ofConfig, v1alpha1.ConditionAddressesAccepted, metav1.ConditionFalse, reasonAddressRefused)
	if !strings.Contains(message, "a-thief") || !strings.Contains(message, "z-victim") {
		t.Errorf("message %q", message)
	}
	e.addressed("z-victim", "10.1.0.1")
	e.addressed("a-thief", "10.1.0.2")
}
