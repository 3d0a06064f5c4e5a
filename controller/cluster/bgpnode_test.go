package cluster

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"fairlead.dev/api/v1alpha1"
)

func holds(name, routerID string, addresses ...string) v1alpha1.BGPNode {
	return v1alpha1.BGPNode{ObjectMeta: age(name, 0), Spec: v1alpha1.BGPNodeSpec{NodeUID: "uid-" + name, RouterID: routerID, Addresses: addresses}}
}

func TestDecideAddresses(t *testing.T) {
	for _, c := range []struct {
		name    string
		nodes   []*corev1.Node
		had     []v1alpha1.BGPNode
		want    map[string][]string
		refused []string
	}{
		{
			name: "first of each family, canonical", nodes: []*corev1.Node{newNode("a", 0, nil, "2001:DB8:0::1", "192.0.2.1", "192.0.2.2", "2001:db8::2")},
			want: map[string][]string{"a": {"192.0.2.1", "2001:db8::1"}},
		},
		{
			name: "unusable ones are skipped", nodes: []*corev1.Node{newNode("a", 0, nil, "", "host", "127.0.0.1", "fe80::1", "fe80::1%eth0", "224.0.0.5", "0.0.0.0", "::ffff:192.0.2.7")},
			want: map[string][]string{"a": {"192.0.2.7"}},
		},
		{name: "none yet", nodes: []*corev1.Node{newNode("a", 0, nil)}, want: map[string][]string{"a": nil}},
		{
			name: "none any more: what it had", nodes: []*corev1.Node{newNode("a", 0, nil)}, had: []v1alpha1.BGPNode{holds("a", "192.0.2.1", "192.0.2.1")},
			want: map[string][]string{"a": {"192.0.2.1"}},
		},
		{
			name: "a family less", nodes: []*corev1.Node{newNode("a", 0, nil, "192.0.2.1")}, had: []v1alpha1.BGPNode{holds("a", "192.0.2.1", "192.0.2.1", "2001:db8::1")},
			want: map[string][]string{"a": {"192.0.2.1"}},
		},
		{
			name: "new ones: the older has it", nodes: []*corev1.Node{newNode("a-young", 5, nil, "192.0.2.1", "2001:db8::1"), newNode("b-old", 1, nil, "192.0.2.1", "2001:db8::2")},
			want:    map[string][]string{"a-young": {"2001:db8::1"}, "b-old": {"192.0.2.1", "2001:db8::2"}},
			refused: []string{"a-young 192.0.2.1 b-old"},
		},
		{
			name: "who has it keeps it, even against an older node", nodes: []*corev1.Node{newNode("old", 0, nil, "192.0.2.2"), newNode("young", 9, nil, "192.0.2.2")},
			had:     []v1alpha1.BGPNode{holds("old", "192.0.2.1", "192.0.2.1"), holds("young", "192.0.2.2", "192.0.2.2")},
			want:    map[string][]string{"old": {"192.0.2.1"}, "young": {"192.0.2.2"}},
			refused: []string{"old 192.0.2.2 young"},
		},
		{
			name: "two nodes swap: each claims what the other gives up", nodes: []*corev1.Node{newNode("a", 0, nil, "192.0.2.2"), newNode("b", 1, nil, "192.0.2.1")},
			had:  []v1alpha1.BGPNode{holds("a", "192.0.2.1", "192.0.2.1"), holds("b", "192.0.2.2", "192.0.2.2")},
			want: map[string][]string{"a": {"192.0.2.2"}, "b": {"192.0.2.1"}},
		},
		{
			name: "who is refused keeps what it had from the others", nodes: []*corev1.Node{newNode("a", 0, nil, "192.0.2.1"), newNode("b", 1, nil, "192.0.2.2"), newNode("c", 2, nil, "192.0.2.1")},
			had:     []v1alpha1.BGPNode{holds("a", "192.0.2.1", "192.0.2.1"), holds("c", "192.0.2.2", "192.0.2.2")},
			want:    map[string][]string{"a": {"192.0.2.1"}, "b": nil, "c": {"192.0.2.2"}},
			refused: []string{"b 192.0.2.2 c", "c 192.0.2.1 a"},
		},
		{
			name:    "a ring moves, and who would join it does not",
			nodes:   []*corev1.Node{newNode("a", 5, nil, "192.0.2.2"), newNode("b", 5, nil, "192.0.2.3"), newNode("c", 5, nil, "192.0.2.1"), newNode("d", 9, nil, "192.0.2.1")},
			had:     []v1alpha1.BGPNode{holds("a", "192.0.2.1", "192.0.2.1"), holds("b", "192.0.2.2", "192.0.2.2"), holds("c", "192.0.2.3", "192.0.2.3"), holds("d", "192.0.2.4", "192.0.2.4")},
			want:    map[string][]string{"a": {"192.0.2.2"}, "b": {"192.0.2.3"}, "c": {"192.0.2.1"}, "d": {"192.0.2.4"}},
			refused: []string{"d 192.0.2.1 c"},
		},
		{
			name:    "a chain moves as far as its end can",
			nodes:   []*corev1.Node{newNode("a", 0, nil, "192.0.2.2"), newNode("b", 1, nil, "192.0.2.3"), newNode("c", 2, nil, "192.0.2.3")},
			had:     []v1alpha1.BGPNode{holds("a", "192.0.2.1", "192.0.2.1"), holds("b", "192.0.2.2", "192.0.2.2"), holds("c", "192.0.2.3", "192.0.2.3")},
			want:    map[string][]string{"a": {"192.0.2.1"}, "b": {"192.0.2.2"}, "c": {"192.0.2.3"}},
			refused: []string{"a 192.0.2.2 b", "b 192.0.2.3 c"},
		},
		{
			name:  "what one gives up another may have",
			nodes: []*corev1.Node{newNode("a", 0, nil, "192.0.2.9"), newNode("b", 1, nil, "192.0.2.1")},
			had:   []v1alpha1.BGPNode{holds("a", "192.0.2.1", "192.0.2.1"), holds("b", "192.0.2.2", "192.0.2.2")},
			want:  map[string][]string{"a": {"192.0.2.9"}, "b": {"192.0.2.1"}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &State{BGPNodes: c.had}
			for _, n := range c.nodes {
				s.Nodes = append(s.Nodes, *n)
			}
			granted, refused := decideAddresses(s, govern(s))
			got := map[string][]string{}
			for name, a := range granted {
				got[name] = a.strings()
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("addresses (-want +got):\n%s", diff)
			}
			var said []string
			for _, r := range refused {
				said = append(said, fmt.Sprint(r.node, " ", r.address, " ", holderIn(r.why)))
			}
			if diff := cmp.Diff(c.refused, said); diff != "" {
				t.Errorf("refused (-want +got):\n%s", diff)
			}
		})
	}
}

// holderIn finds the node that a refusal names.
func holderIn(why string) string {
	_, rest, _ := strings.Cut(why, "it is node ")
	holder, _, _ := strings.Cut(rest, "'s")
	return holder
}

func TestRouterIDs(t *testing.T) {
	ids := newRouterIDs(map[string]addresses{"four": {v4: netip.MustParseAddr("192.0.2.1")}})
	seen := map[string]string{}
	for i := range 5000 {
		node := fmt.Sprint("n", i)
		id := ids.assign(node, netip.Addr{}, nil)
		if other, taken := seen[id]; taken {
			t.Fatalf("%s and %s have %s", node, other, id)
		}
		seen[id] = node
		if a := netip.MustParseAddr(id); !a.Is4() || !a.IsGlobalUnicast() || a.As4()[0] == 127 {
			t.Fatalf("%s is no unicast address", id)
		}
	}
	if id := ids.assign("four", netip.MustParseAddr("192.0.2.1"), nil); id != "192.0.2.1" {
		t.Errorf("%s, want the IPv4 address", id)
	}
	kept, stolen := holds("x", "9.9.9.9"), holds("y", "192.0.2.1")
	if id := ids.assign("x", netip.Addr{}, &kept); id != "9.9.9.9" {
		t.Errorf("%s, want the one it had", id)
	}
	if id := ids.assign("y", netip.Addr{}, &stolen); id == "192.0.2.1" {
		t.Error("two nodes have 192.0.2.1")
	}
	again := newRouterIDs(nil)
	if a, b := again.assign("n", netip.Addr{}, nil), newRouterIDs(nil).assign("n", netip.Addr{}, nil); a != b {
		t.Errorf("%s and %s for one name", a, b)
	}
}

func TestDecideBGPNodes(t *testing.T) {
	gone := holds("gone", "192.0.2.3", "192.0.2.3", "2001:db8::3")
	gone.Labels = rack("r9")
	off := newConfig("off", 65009, byLabel("rack", "r3"))
	off.Spec.NodeMesh = v1alpha1.NodeMeshDisabled
	s := &State{
		Nodes: []corev1.Node{
			*newNode("a", 0, rack("r1"), "192.0.2.1"), *newNode("b", 0, rack("r2"), "2001:db8::2"), *newNode("c", 0, rack("r3")),
			*newNode("moved", 0, nil, "192.0.2.3"), // the gone node's machine, under another name
		},
		BGPNodes: []v1alpha1.BGPNode{gone},
		Configs:  []v1alpha1.BGPConfiguration{*newConfig("all", 65000, nil), *off},
		Peers:    []v1alpha1.BGPPeer{*newPeer("bad", "192.0.2.9", wrong()), *newPeer("tor", "192.0.2.9", byLabel("rack", "r1"))},
	}
	want, refused := decideBGPNodes(s)
	var got []string
	for _, n := range want {
		got = append(got, fmt.Sprintf("%s %s %v AS%d mesh=%t %v", n.Name, n.Spec.NodeUID, n.Spec.Addresses, n.Spec.ASNumber, n.Spec.Mesh, n.Labels))
	}
	if diff := cmp.Diff([]string{
		"a uid-a [192.0.2.1] AS65000 mesh=false map[rack:r1]",
		"b uid-b [2001:db8::2] AS65000 mesh=true map[rack:r2]",
		"c uid-c [] AS65009 mesh=false map[rack:r3]",
		"gone uid-gone [2001:db8::3] AS0 mesh=false map[rack:r9]",
		"moved uid-moved [192.0.2.3] AS65000 mesh=true map[]",
	}, got); diff != "" {
		t.Errorf("BGPNodes (-want +got):\n%s", diff)
	}
	if len(refused) > 0 {
		t.Errorf("refused %v", refused)
	}
	if len(gone.Spec.Addresses) != 2 {
		t.Error("the cache's object was changed")
	}
	for i := range want {
		if !sameBGPNode(&want[i], want[i].DeepCopy()) {
			t.Errorf("%s differs from itself", want[i].Name)
		}
	}
}

// Each field of a BGPNode that the controller decides brings an update.
func TestSameBGPNode(t *testing.T) {
	for name, change := range map[string]func(*v1alpha1.BGPNode){
		"uid":       func(n *v1alpha1.BGPNode) { n.Spec.NodeUID = "other" },
		"addresses": func(n *v1alpha1.BGPNode) { n.Spec.Addresses = []string{"192.0.2.2"} },
		"asn":       func(n *v1alpha1.BGPNode) { n.Spec.ASNumber++ },
		"routerID":  func(n *v1alpha1.BGPNode) { n.Spec.RouterID = "1.1.1.1" },
		"port":      func(n *v1alpha1.BGPNode) { n.Spec.ListenPort = -1 },
		"restart":   func(n *v1alpha1.BGPNode) { n.Spec.GracefulRestartSeconds++ },
		"mesh":      func(n *v1alpha1.BGPNode) { n.Spec.Mesh = !n.Spec.Mesh },
		"rule":      func(n *v1alpha1.BGPNode) { n.Spec.NodeAddress = &v1alpha1.NodeAddress{} },
		"labels":    func(n *v1alpha1.BGPNode) { n.Labels = rack("r2") },
	} {
		have := holds("n", "192.0.2.1", "192.0.2.1")
		want := have.DeepCopy()
		change(want)
		if sameBGPNode(&have, want) {
			t.Errorf("a change of %s is not seen", name)
		}
	}
}
