package kube_test

import (
	"regexp"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
)

// What `kubectl get` shows answers the questions that are asked on call.
func TestPrintedColumns(t *testing.T) {
	c := admin(t)
	ready := []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: "Claimed", LastTransitionTime: metav1.Now()}}

	pool := &v1alpha1.IPPool{Spec: v1alpha1.IPPoolSpec{CIDR: "10.244.0.0/16"}}
	pool.Name = "pods-v4"
	poolStatus := v1alpha1.IPPoolStatus{BlockCapacity: 1024, BlocksLeased: 4, AddressesUsed: 31, Conditions: ready}
	peer := &v1alpha1.BGPPeer{Spec: v1alpha1.BGPPeerSpec{Address: "2001:db8::1", ASNumber: 4200000001}}
	peer.Name = "r1-tor1-v6"
	peerStatus := v1alpha1.BGPPeerStatus{SessionsWanted: 2, SessionsEstablished: 1, Conditions: ready}
	config := &v1alpha1.BGPConfiguration{}
	config.Name = "rack-r1"
	configStatus := v1alpha1.BGPConfigurationStatus{NodesGoverned: 2, Conditions: ready}
	node := &v1alpha1.NodeState{}
	node.Name = "n1"
	nodeStatus := v1alpha1.NodeStateStatus{
		ASNumber: 65101, RouterID: "192.0.2.11", SessionsWanted: 4, SessionsEstablished: 3,
		AddressesUsed: 12, Routes: v1alpha1.RouteCounts{Wanted: 8, Installed: 7},
		Conditions: append([]metav1.Condition{
			{Type: v1alpha1.ConditionAddressesAvailable, Status: metav1.ConditionTrue, Reason: "Low", LastTransitionTime: metav1.Now()},
			{Type: v1alpha1.ConditionAgentReachable, Status: metav1.ConditionUnknown, Reason: "AgentSilent", LastTransitionTime: metav1.Now()},
		}, ready...),
	}
	block := &v1alpha1.IPBlock{Spec: v1alpha1.IPBlockSpec{CIDR: "10.244.1.0/26", PoolName: "pods-v4", PoolUID: "p", NodeName: "n1", NodeUID: "u", State: v1alpha1.BlockLeased}}
	block.Name = "10.244.1.0-26"
	bgpNode := &v1alpha1.BGPNode{Spec: v1alpha1.BGPNodeSpec{NodeUID: "u", ASNumber: 65101, RouterID: "192.0.2.11", ListenPort: 179, GracefulRestartSeconds: 120, Addresses: []string{"192.0.2.11", "2001:db8::b"}}}
	bgpNode.Name = "n1"

	for _, o := range []client.Object{pool, peer, config, node, block, bgpNode} {
		create(t, c, o)
	}
	pool.Status, peer.Status, config.Status, node.Status = poolStatus, peerStatus, configStatus, nodeStatus
	for _, o := range []client.Object{pool, peer, config, node} {
		if err := c.Status().Update(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}

	for _, want := range []struct{ resource, header, row string }{
		{"ippools", "NAME CIDR STATE READY LEASED BLOCKS USED AGE", "pods-v4 10.244.0.0/16 Active True 4 1024 31"},
		{"ipp", "NAME CIDR STATE READY LEASED BLOCKS USED AGE", "pods-v4 10.244.0.0/16 Active True 4 1024 31"},
		{"ipblocks", "NAME CIDR NODE POOL STATE AGE", "10.244.1.0-26 10.244.1.0/26 n1 pods-v4 Leased"},
		{"bgppeers", "NAME ADDRESS ASN UP WANTED READY AGE", "r1-tor1-v6 2001:db8::1 4200000001 1 2 True"},
		{"bgpconfigurations", "NAME ASN MESH NODES READY AGE", "rack-r1 64512 Auto 2 True"},
		{"nodestates", "NAME READY REACHABLE ASN UP SESSIONS ROUTES USED ADDRESSES AGE", "n1 True Unknown 65101 3 4 7 12 Low"},
		{"bgpnodes", "NAME ASN ROUTER-ID ADDRESSES MESH AGE", `n1 65101 192.0.2.11 ["192.0.2.11","2001:db8::b"]`},
	} {
		out := kubectl(t, "get", want.resource)
		lines := strings.Split(out, "\n")
		if squeeze(lines[0]) != want.header || !strings.HasPrefix(squeeze(lines[1]), want.row) {
			t.Errorf("kubectl get %s, want\n%s\n%s\ngot\n%s", want.resource, want.header, want.row, out)
		}
	}
	if testing.Verbose() {
		t.Log("\n" + kubectl(t, "get", "ippools,ipblocks,bgppeers,nodestates"))
	}
}

func squeeze(s string) string {
	return strings.TrimSpace(regexp.MustCompile(` +`).ReplaceAllString(s, " "))
}
