package cluster

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/api/v1alpha1"
)

// byRange is a configuration whose nodes find their address in a range.
func byRange(name string, sel *metav1.LabelSelector, allowed ...string) *v1alpha1.BGPConfiguration {
	c := newConfig(name, 65000, sel)
	c.Spec.NodeAddress = &v1alpha1.NodeAddress{Source: v1alpha1.NodeAddressCIDR, CIDRs: []string{"10.0.0.0/8"}, AllowedCIDRs: allowed}
	return c
}

// found is what a node's agent reports.
func found(node string, addresses ...string) v1alpha1.NodeState {
	return v1alpha1.NodeState{ObjectMeta: metav1.ObjectMeta{Name: node}, Status: v1alpha1.NodeStateStatus{NodeUID: "uid-" + node, CandidateAddresses: addresses}}
}

func TestDecideFoundAddresses(t *testing.T) {
	stranger := found("a", "10.1.0.9")
	stranger.Status.NodeUID = "uid-of-an-earlier-node"
	hostIP := newNode("a", 0, nil, "192.0.2.1")
	hostIP.Status.Addresses = append(hostIP.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeExternalIP, Address: "203.0.113.9"})
	for _, c := range []struct {
		name    string
		nodes   []*corev1.Node
		states  []v1alpha1.NodeState
		had     []v1alpha1.BGPNode
		allowed []string
		want    map[string][]string
		refused []string // node, address, and what the reason says
	}{
		{
			name:  "allowed",
			nodes: []*corev1.Node{newNode("a", 0, nil, "192.0.2.1")}, states: []v1alpha1.NodeState{found("a", "10.1.0.9", "2001:db8::9")}, allowed: []string{"10.1.0.0/24", "2001:db8::/64"},
			want: map[string][]string{"a": {"10.1.0.9", "2001:db8::9"}},
		},
		{
			name:  "what the Node says of any type needs no leave",
			nodes: []*corev1.Node{hostIP}, states: []v1alpha1.NodeState{found("a", "203.0.113.9")},
			want: map[string][]string{"a": {"203.0.113.9"}},
		},
		{
			name:  "nothing found yet: not the InternalIP, which the rule does not name",
			nodes: []*corev1.Node{newNode("a", 0, nil, "192.0.2.1")}, states: []v1alpha1.NodeState{found("a")},
			want: map[string][]string{"a": nil},
		},
		{
			name:  "no report: what it had",
			nodes: []*corev1.Node{newNode("a", 0, nil, "192.0.2.1")}, had: []v1alpha1.BGPNode{holds("a", "10.1.0.9", "10.1.0.9", "2001:db8::9")}, allowed: []string{"10.1.0.0/24"},
			want: map[string][]string{"a": {"10.1.0.9", "2001:db8::9"}},
		},
		{
			name:  "one family not found for a moment: what it had",
			nodes: []*corev1.Node{newNode("a", 0, nil)}, states: []v1alpha1.NodeState{found("a", "10.1.0.10")},
			had: []v1alpha1.BGPNode{holds("a", "10.1.0.9", "10.1.0.9", "2001:db8::9")}, allowed: []string{"10.1.0.0/24"},
			want: map[string][]string{"a": {"10.1.0.10", "2001:db8::9"}},
		},
		{
			name:  "an arbitrary one",
			nodes: []*corev1.Node{newNode("a", 0, nil, "192.0.2.1")}, states: []v1alpha1.NodeState{found("a", "10.2.0.9")},
			had: []v1alpha1.BGPNode{holds("a", "10.1.0.9", "10.1.0.9")}, allowed: []string{"10.1.0.0/24"},
			want:    map[string][]string{"a": {"10.1.0.9"}},
			refused: []string{"a 10.2.0.9 allowedCIDRs"},
		},
		{
			name:  "what is no address of a node",
			nodes: []*corev1.Node{newNode("a", 0, nil, "192.0.2.1")}, states: []v1alpha1.NodeState{found("a", "127.0.0.1", "fe80::1%eth0")}, allowed: []string{"127.0.0.0/8", "fe80::/10"},
			want:    map[string][]string{"a": nil},
			refused: []string{"a 127.0.0.1 unicast", "a fe80::1%eth0 unicast"},
		},
		{
			name:  "a pod's, although the range is allowed",
			nodes: []*corev1.Node{newNode("a", 0, nil, "192.0.2.1")}, states: []v1alpha1.NodeState{found("a", "10.244.0.9")}, allowed: []string{"10.0.0.0/8"},
			want:    map[string][]string{"a": nil},
			refused: []string{"a 10.244.0.9 IPPool/pods"},
		},
		{
			name:  "another's, found by a rule or the InternalIP of a node without one",
			nodes: []*corev1.Node{newNode("a", 0, nil), newNode("b", 1, rack("plain"), "10.1.0.2"), newNode("c", 2, nil)},
			had:   []v1alpha1.BGPNode{holds("a", "10.1.0.1", "10.1.0.1"), holds("b", "10.1.0.2", "10.1.0.2"), holds("c", "10.1.0.3", "10.1.0.3")},
			states: []v1alpha1.NodeState{
				found("a", "10.1.0.2"), found("c", "10.1.0.1"),
			},
			allowed: []string{"10.1.0.0/24"},
			want:    map[string][]string{"a": {"10.1.0.1"}, "b": {"10.1.0.2"}, "c": {"10.1.0.3"}},
			refused: []string{"a 10.1.0.2 node b's", "c 10.1.0.1 node a's"},
		},
		{
			name:  "a report about an earlier Node of the name",
			nodes: []*corev1.Node{newNode("a", 0, nil)}, states: []v1alpha1.NodeState{stranger}, allowed: []string{"10.0.0.0/8"},
			want: map[string][]string{"a": nil},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			plain := newConfig("plain", 65000, byLabel("rack", "plain"))
			s := &State{
				NodeStates: c.states, BGPNodes: c.had, Configs: []v1alpha1.BGPConfiguration{*byRange("found", nil, c.allowed...), *plain},
				Plan: &v1alpha1.AddressPlan{Spec: v1alpha1.AddressPlanSpec{Entries: []v1alpha1.AddressPlanEntry{{CIDR: "10.244.0.0/16", PoolName: "pods"}}}},
			}
			for _, n := range c.nodes {
				s.Nodes = append(s.Nodes, *n)
			}
			s.sort()
			granted, refused := decideAddresses(s, govern(s))
			got := map[string][]string{}
			for name, a := range granted {
				got[name] = a.strings()
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("addresses (-want +got):\n%s", diff)
			}
			if len(refused) != len(c.refused) {
				t.Fatalf("refused %v, want %v", refused, c.refused)
			}
			for i, f := range refused {
				want := strings.SplitN(c.refused[i], " ", 3)
				if f.node != want[0] || f.address != want[1] || !strings.Contains(f.why, want[2]) || f.config != "found" {
					t.Errorf("refused %+v, want %v", f, want)
				}
			}
		})
	}
}

// A rule that changes back leaves nothing behind.
func TestRuleChanges(t *testing.T) {
	s := &State{
		Nodes:      []corev1.Node{*newNode("a", 0, nil, "192.0.2.1", "2001:db8::1")},
		NodeStates: []v1alpha1.NodeState{found("a", "10.1.0.9")},
	}
	step := func(c *v1alpha1.BGPConfiguration, want string) {
		t.Helper()
		s.Configs = nil
		if c != nil {
			s.Configs = []v1alpha1.BGPConfiguration{*c}
		}
		all, _ := decideBGPNodes(s)
		if got := fmt.Sprint(all[0].Spec.Addresses, " ", all[0].Spec.RouterID); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if (all[0].Spec.NodeAddress != nil) != (c != nil) {
			t.Errorf("rule %+v", all[0].Spec.NodeAddress)
		}
		s.BGPNodes = all
	}
	step(nil, "[192.0.2.1 2001:db8::1] 192.0.2.1")
	step(byRange("c", nil, "10.1.0.0/24"), "[10.1.0.9 2001:db8::1] 10.1.0.9")
	step(nil, "[192.0.2.1 2001:db8::1] 192.0.2.1")
	internalIP := byRange("c", nil)
	internalIP.Spec.NodeAddress = &v1alpha1.NodeAddress{Source: v1alpha1.NodeAddressInternalIP, AllowedCIDRs: []string{"10.1.0.0/24"}}
	step(internalIP, "[192.0.2.1 2001:db8::1] 192.0.2.1")
}
