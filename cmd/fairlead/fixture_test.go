package main

import (
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/controller/view"
)

// now is when every table of the tests is printed.
func now() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func before(d time.Duration) metav1.Time { return metav1.NewTime(now().Add(-d)) }

func condition(kind string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{
		Type: kind, Status: status, Reason: reason, Message: message,
		ObservedGeneration: 1, LastTransitionTime: before(3 * time.Minute),
	}
}

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, UID: types.UID(name + "-uid"), Generation: 1}
}

func coreNode(name string, ready corev1.ConditionStatus) corev1.Node {
	n := corev1.Node{ObjectMeta: meta(name)}
	if ready != "" {
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}}
	}
	return n
}

func bgpNode(name, routerID string) v1alpha1.BGPNode {
	return v1alpha1.BGPNode{ObjectMeta: meta(name), Spec: v1alpha1.BGPNodeSpec{
		NodeUID: name + "-uid", ASNumber: 65101, RouterID: routerID, Addresses: []string{routerID},
		VTEP: &v1alpha1.VTEP{VNI: 4096, Port: 4789},
	}}
}

func block(name, cidr, node string, state v1alpha1.BlockState) v1alpha1.IPBlock {
	return v1alpha1.IPBlock{ObjectMeta: meta(name), Spec: v1alpha1.IPBlockSpec{
		CIDR: cidr, PoolName: "pods", PoolUID: "pods-uid", NodeName: node, NodeUID: node + "-uid", State: state,
	}}
}

// report is that of a node with one session up and one block.
func report(node, blockName, cidr string) v1alpha1.NodeState {
	since := before(42 * time.Minute)
	return v1alpha1.NodeState{ObjectMeta: meta(node), Status: v1alpha1.NodeStateStatus{
		NodeUID: node + "-uid", ASNumber: 65101, RouterID: "10.1.0.11",
		Sessions: []v1alpha1.SessionStatus{{
			Peer: "r1-tor1", Address: "10.1.0.1", ASNumber: 65001, State: "Established", Since: &since,
			Received: 5, Accepted: 3, Advertised: 1,
		}},
		SessionsWanted: 1, SessionsEstablished: 1,
		Blocks:        []v1alpha1.BlockStatus{{CIDR: cidr, UID: blockName + "-uid", Capacity: 62, Used: 7, Programmed: true, Advertised: true}},
		AddressesUsed: 7,
		Routes:        v1alpha1.RouteCounts{Wanted: 4, Installed: 4},
		Conditions: []metav1.Condition{
			condition("Ready", "True", "InSync", "all is in place"),
			condition("RoutesInSync", "True", "InSync", "4 routes"),
			condition("SessionsEstablished", "True", "AllEstablished", "1 session"),
		},
	}}
}

// wellCluster is one node as it should be.
func wellCluster() objects {
	return objects{
		nodes:    corev1.NodeList{Items: []corev1.Node{coreNode("n1", corev1.ConditionTrue)}},
		bgpNodes: v1alpha1.BGPNodeList{Items: []v1alpha1.BGPNode{bgpNode("n1", "10.1.0.11")}},
		pools: v1alpha1.IPPoolList{Items: []v1alpha1.IPPool{{
			ObjectMeta: meta("pods"),
			Spec:       v1alpha1.IPPoolSpec{CIDR: "10.244.0.0/16", State: v1alpha1.PoolActive, Encapsulation: v1alpha1.EncapsulationVXLANCrossSubnet, NATOutgoing: true},
			Status: v1alpha1.IPPoolStatus{BlockCapacity: 1024, BlocksLeased: 1, AddressesUsed: 7, Conditions: []metav1.Condition{
				condition("Ready", "True", "Accepted", ""),
				condition("Overlap", "False", "NoOverlap", ""),
				condition("Exhausted", "False", "BlocksFree", ""),
				condition("Limited", "False", "BelowMaximum", ""),
			}},
		}}},
		bgpPeers: v1alpha1.BGPPeerList{Items: []v1alpha1.BGPPeer{{
			ObjectMeta: meta("r1-tor1"),
			Spec:       v1alpha1.BGPPeerSpec{Address: "10.1.0.1", ASNumber: 65001},
			Status: v1alpha1.BGPPeerStatus{SessionsWanted: 1, SessionsEstablished: 1, Conditions: []metav1.Condition{
				condition("Ready", "True", "Accepted", ""),
				condition("Established", "True", "AllEstablished", ""),
			}},
		}}},
		blocks: v1alpha1.IPBlockList{Items: []v1alpha1.IPBlock{block("b1", "10.244.1.0/26", "n1", v1alpha1.BlockLeased)}},
		states: v1alpha1.NodeStateList{Items: []v1alpha1.NodeState{report("n1", "b1", "10.244.1.0/26")}},
	}
}

// sickCluster adds, to the node that is well: n2 whose session is down and who
// tries to speak to the terminal, n3 that is gone, n4 that never reported, n5
// that is silent, n6 made anew, n7 without a BGPNode, n8 whose agent is silent; a
// pool that overlaps and one that the controller has not seen.
func sickCluster() objects {
	o := wellCluster()
	o.nodes.Items = append(o.nodes.Items,
		coreNode("n2", corev1.ConditionTrue), coreNode("n4", ""), coreNode("n5", corev1.ConditionUnknown),
		coreNode("n6", corev1.ConditionTrue), coreNode("n7", corev1.ConditionTrue), coreNode("n8", corev1.ConditionTrue))
	for i, name := range []string{"n2", "n4", "n5", "n6", "n8"} {
		o.bgpNodes.Items = append(o.bgpNodes.Items, bgpNode(name, netip.AddrFrom4([4]byte{10, 1, 0, byte(12 + i)}).String()))
	}
	o.blocks.Items = append(o.blocks.Items,
		block("b10", "10.244.10.0/26", "n2", v1alpha1.BlockLeased),
		block("b2", "10.244.2.0/26", "n2", v1alpha1.BlockLeased),
		block("b11", "10.251.0.0/28", "n2", v1alpha1.BlockLeased),
		block("b3", "10.244.3.0/26", "n3", v1alpha1.BlockDraining),
		block("b4", "fd00:10:244::40/122", "n4", v1alpha1.BlockLeased))
	n2 := report("n2", "b2", "10.244.2.0/26")
	n2.Status.Sessions[0].State = "Active"
	n2.Status.Sessions[0].LastError = "connection \x1b[31mrefused\nby 10.1.0.1"
	n2.Status.SessionsEstablished = 0
	n2.Status.Conditions[2] = condition("SessionsEstablished", "False", "SessionsDown", "r1-tor1 (10.1.0.1): connection refused")
	n2.Status.Blocks[0].Advertised = false
	n2.Status.WantedBlocks = []v1alpha1.WantedBlocks{{Pool: "pods", PoolUID: "pods-uid", Count: 4}, {Pool: "was", PoolUID: "was-uid", Count: 1}}
	n2.Status.Blocks = append(n2.Status.Blocks, v1alpha1.BlockStatus{CIDR: "10.244.10.0/26", UID: "b10-uid", Capacity: 64, Closed: true},
		v1alpha1.BlockStatus{CIDR: "10.251.0.0/28", UID: "b11-uid", Capacity: 16, IPAMOnly: true})
	n2.Status.CandidateAddresses, n2.Status.VTEP = []string{"10.9.0.12", "fd00:9::12"}, &v1alpha1.VTEP{VNI: 4096, Port: 4789}
	o.bgpNodes.Items[1].Spec.VTEP = nil
	o.bgpNodes.Items[1].Spec.NodeAddress = &v1alpha1.NodeAddress{Source: v1alpha1.NodeAddressInterface, Interfaces: []string{"bond0", "eth*"}}
	n8 := report("n8", "b8", "10.244.8.0/26")
	n8.Status.Conditions = append(n8.Status.Conditions, condition("AgentReachable", "Unknown", "AgentSilent", "all else here is what was last known"))
	n6 := report("n6", "b6", "10.244.6.0/26")
	n6.Status.NodeUID = "another-uid"
	o.states.Items = append(o.states.Items, n2,
		report("n3", "b3", "10.244.3.0/26"), report("n5", "b5", "10.244.5.0/26"), n6, report("n7", "b7", "10.244.7.0/26"), n8)
	overlap := o.pools.Items[0].DeepCopy()
	overlap.ObjectMeta = meta("pods-too")
	overlap.Spec.CIDR = "10.244.128.0/17"
	overlap.Status = v1alpha1.IPPoolStatus{Conditions: []metav1.Condition{
		condition("Ready", "False", "Overlap", "10.244.128.0/17 overlaps 10.244.0.0/16 of IPPool pods"),
		condition("Overlap", "True", "Overlap", "10.244.128.0/17 overlaps 10.244.0.0/16 of IPPool pods"),
	}}
	o.pools.Items[0].Status.Conditions[2] = condition("Exhausted", "True", "NoFreeBlock", "all 1024 blocks are in use")
	o.pools.Items[0].Status.Conditions[3] = condition("Limited", "True", "MaximumReached", "n9 asks for more")
	unseen := o.pools.Items[0].DeepCopy()
	unseen.ObjectMeta = meta("pods-new")
	unseen.Spec.Encapsulation, unseen.Spec.NATOutgoing = "", false
	unseen.Spec.CIDR, unseen.Status = "fd00:10:244::/64", v1alpha1.IPPoolStatus{}
	o.pools.Items = append(o.pools.Items, *overlap, *unseen)
	return o
}

// agentView is what n1's agent tells: without the API server, and with a route
// of each kind.
func agentView() view.Node {
	hop := netip.MustParseAddr
	return view.Node{
		Name: "n1", At: now(), Source: "snapshot", Spec: bgpNode("n1", "10.1.0.11").Spec, State: report("n1", "b1", "10.244.1.0/26").Status,
		Routes: []view.Route{
			{Prefix: netip.MustParsePrefix("10.244.1.0/26"), Origin: "block", Path: "blackhole", Installed: true, Advertised: true},
			{
				Prefix: netip.MustParsePrefix("10.244.2.0/26"), Origin: "learned", Path: "native", Installed: true, Stale: true,
				NextHops: []netip.Addr{hop("10.1.0.1"), hop("10.1.0.2")}, From: []netip.Addr{hop("10.1.0.1"), hop("10.1.0.2")},
			},
			{
				Prefix: netip.MustParsePrefix("10.244.3.0/26"), Origin: "lease", Node: "n3", Path: "VXLAN", Installed: true,
				NextHops: []netip.Addr{hop("10.2.0.13")}, Source: hop("10.244.1.0"),
			},
			{
				Prefix: netip.MustParsePrefix("fd00:10:244::40/122"), Origin: "learned", Path: "native",
				NextHops: []netip.Addr{hop("fd00:1::1")}, From: []netip.Addr{hop("fd00:1::1")},
				Problem: "add route: network is unreachable",
			},
		},
		Problems: []string{"BGPPeer r1-tor3: Secret fairlead-system/tor3 has no key password"},
	}
}
