package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
)

// routed waits until a node's BGPNode is as wanted, the UID aside.
func (e env) routed(name string, labels map[string]string, want v1alpha1.BGPNodeSpec) {
	e.Helper()
	n := &v1alpha1.BGPNode{}
	e.eventually("BGPNode "+name, func() string {
		if err := e.Get(e.Context(), client.ObjectKey{Name: name}, n); err != nil {
			return err.Error()
		}
		n.Spec.NodeUID = ""
		return cmp.Diff(want, n.Spec) + cmp.Diff(labels, n.Labels)
	})
}

func TestBGPNodesFollowNodesAndConfigurations(t *testing.T) {
	e := newEnv(t)
	e.start(quick())
	node := newNode("n", 0, rack("r1"), "192.0.2.1", "2001:DB8::0:1", "192.0.2.2")
	e.create(node, newNode("late", 0, nil))
	spec := v1alpha1.BGPNodeSpec{
		Addresses: []string{"192.0.2.1", "2001:db8::1"}, RouterID: "192.0.2.1", ASNumber: v1alpha1.DefaultASN,
		ListenPort: v1alpha1.DefaultListenPort, GracefulRestartSeconds: v1alpha1.DefaultGracefulRestartSeconds, Mesh: true,
	}
	e.routed("n", rack("r1"), spec)

	// The kubelet reports an address later.
	late := newNode("late", 0, nil)
	e.ok(e.Get(t.Context(), client.ObjectKeyFromObject(late), late))
	late.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: "late"}, {Type: corev1.NodeInternalIP, Address: "192.0.2.9"}}
	e.ok(e.Status().Update(t.Context(), late))
	other := spec
	other.Addresses, other.RouterID = []string{"192.0.2.9"}, "192.0.2.9"
	e.routed("late", nil, other)

	// A peer that selects the node takes it out of the mesh; an invalid one does not.
	bad := newPeer("bad", "192.0.2.253", wrong())
	e.create(newPeer("tor", "192.0.2.254", byLabel("rack", "r1")), bad)
	spec.Mesh = false
	e.routed("n", rack("r1"), spec)
	e.routed("late", nil, other)
	has(e, bad, ofPeer, v1alpha1.ConditionReady, metav1.ConditionFalse, reasonInvalidSelector)

	// The more specific configuration wins, and only where it selects.
	all, mine := newConfig("a-all", 65000, nil), newConfig("z-rack", 65101, byLabel("rack", "r1"))
	mine.Spec.ListenPort, mine.Spec.NodeMesh, mine.Spec.GracefulRestartSeconds = -1, v1alpha1.NodeMeshEnabled, 60
	e.create(all, mine)
	spec.ASNumber, spec.ListenPort, spec.Mesh, spec.GracefulRestartSeconds = 65101, -1, true, 60
	e.routed("n", rack("r1"), spec)
	other.ASNumber = 65000
	e.routed("late", nil, other)
	has(e, mine, ofConfig, v1alpha1.ConditionConflict, metav1.ConditionFalse, reasonNoConflict)

	// The node moves to another rack.
	edit(e, node, func(n *corev1.Node) { n.Labels = rack("r2") })
	spec = other
	spec.Addresses, spec.RouterID = []string{"192.0.2.1", "2001:db8::1"}, "192.0.2.1"
	e.routed("n", rack("r2"), spec)
}

func TestConfigurationsInConflict(t *testing.T) {
	e := newEnv(t)
	e.start(quick())
	a, b, bad := newConfig("a", 65001, byLabel("rack", "r1")), newConfig("b", 65002, byLabel("role", "worker")), newConfig("bad", 65003, wrong())
	e.create(a, b, bad, newNode("n", 0, map[string]string{"rack": "r1", "role": "worker"}))
	for _, c := range []*v1alpha1.BGPConfiguration{a, b} {
		message := has(e, c, ofConfig, v1alpha1.ConditionConflict, metav1.ConditionTrue, reasonSameSpecificity)
		if !strings.Contains(message, "node n") {
			t.Errorf("message %q names no node", message)
		}
	}
	has(e, bad, ofConfig, v1alpha1.ConditionReady, metav1.ConditionFalse, reasonInvalidSelector)
	e.eventually("a governs", func() string {
		e.ok(e.Get(t.Context(), client.ObjectKeyFromObject(a), a))
		if a.Status.NodesGoverned != 1 {
			return fmt.Sprint(a.Status.NodesGoverned)
		}
		return ""
	})
}

func TestDuplicateNodeAddress(t *testing.T) {
	e := newEnv(t)
	e.start(quick())
	first := v1alpha1.BGPNodeSpec{
		Addresses: []string{"192.0.2.1"}, RouterID: "192.0.2.1", ASNumber: v1alpha1.DefaultASN,
		ListenPort: v1alpha1.DefaultListenPort, GracefulRestartSeconds: v1alpha1.DefaultGracefulRestartSeconds, Mesh: true,
	}
	second := first
	second.Addresses, second.RouterID = []string{"192.0.2.2"}, "192.0.2.2"
	thief := newNode("a-thief", 0, nil, "192.0.2.2")
	e.create(newNode("owner", 0, nil, "192.0.2.1"), thief)
	e.routed("owner", nil, first)
	e.routed("a-thief", nil, second)
	thief.Status.Addresses[0].Address = "192.0.2.1"
	e.ok(e.Status().Update(t.Context(), thief))
	e.eventually("an Event on the node", func() string {
		var l corev1.EventList
		e.ok(e.List(t.Context(), &l))
		if slices.ContainsFunc(l.Items, func(ev corev1.Event) bool {
			return ev.InvolvedObject.Name == "a-thief" && ev.Reason == reasonAddressRefused && strings.Contains(ev.Message, "owner")
		}) {
			return ""
		}
		return fmt.Sprint(len(l.Items), " other events")
	})
	e.routed("owner", nil, first)
	e.routed("a-thief", nil, second)
}

func TestPeerStatus(t *testing.T) {
	e := newEnv(t)
	e.start(quick())
	first, second := newPeer("first", "192.0.2.254", nil), newPeer("second", "192.0.2.254", byLabel("rack", "r1"))
	e.create(first, second, newNode("n1", 0, rack("r1")), newNode("n2", 0, nil))
	message := has(e, second, ofPeer, v1alpha1.ConditionReady, metav1.ConditionFalse, reasonDuplicateAddress)
	if !strings.Contains(message, "BGPPeer/first") || !strings.Contains(message, "n1") {
		t.Errorf("message %q names not both the other peer and a node", message)
	}
	has(e, first, ofPeer, v1alpha1.ConditionReady, metav1.ConditionTrue, reasonAccepted)
	up := v1alpha1.SessionStatus{Peer: "first", Address: "192.0.2.254", State: "Established"}
	down := up
	down.State, down.LastError = "Active", "connection refused"
	e.reports("n1", v1alpha1.NodeStateStatus{Sessions: []v1alpha1.SessionStatus{up}})
	e.reports("n2", v1alpha1.NodeStateStatus{Sessions: []v1alpha1.SessionStatus{down}})
	e.eventually("status counts the session", func() string {
		e.ok(e.Get(t.Context(), client.ObjectKeyFromObject(first), first))
		if first.Status.SessionsWanted != 2 || first.Status.SessionsEstablished != 1 {
			return fmt.Sprintf("%+v", first.Status)
		}
		return ""
	})
	message = has(e, first, ofPeer, v1alpha1.ConditionEstablished, metav1.ConditionFalse, reasonSessionsDown)
	if !strings.Contains(message, "connection refused") || !strings.Contains(message, "n2") {
		t.Errorf("message %q names not both error and node", message)
	}
	e.reports("n2", v1alpha1.NodeStateStatus{Sessions: []v1alpha1.SessionStatus{up}})
	has(e, first, ofPeer, v1alpha1.ConditionEstablished, metav1.ConditionTrue, reasonAllEstablished)
}
