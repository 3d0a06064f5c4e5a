package cluster

import (
	"encoding/binary"
	"hash/fnv"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/api/v1alpha1"
)

// decideBGPNodes returns the BGPNode of each Node, and those of nodes that are
// gone but may return with what they keep. Both are sorted by name.
func decideBGPNodes(s *State) (want []v1alpha1.BGPNode, refused []refusal) {
	current := make(map[string]*v1alpha1.BGPNode, len(s.BGPNodes))
	for i := range s.BGPNodes {
		current[s.BGPNodes[i].Name] = &s.BGPNodes[i]
	}
	gov := govern(s)
	granted, refused := decideAddresses(s, gov)
	ids := newRouterIDs(granted)
	peers, _ := peerSelectors(s.Peers)
	states := s.nodeStatesByName()

	for i := range s.Nodes {
		node := &s.Nodes[i]
		set := settings(gov.of[node.Name])
		want = append(want, v1alpha1.BGPNode{
			ObjectMeta: metav1.ObjectMeta{Name: node.Name, Labels: node.Labels},
			Spec: v1alpha1.BGPNodeSpec{
				NodeUID:                string(node.UID),
				Addresses:              granted[node.Name].strings(),
				ASNumber:               set.ASNumber,
				RouterID:               ids.assign(node.Name, granted[node.Name].v4, current[node.Name]),
				ListenPort:             set.ListenPort,
				GracefulRestartSeconds: set.GracefulRestartSeconds,
				Mesh: set.NodeMesh == v1alpha1.NodeMeshEnabled ||
					set.NodeMesh == v1alpha1.NodeMeshAuto && len(peers.match(node.Labels)) == 0,
				NodeAddress: set.NodeAddress.DeepCopy(),
				VTEP:        vtepOf(string(node.UID), states[node.Name]),
			},
		})
	}
	for name := range granted {
		delete(current, name)
	}
	want = append(want, absent(current, granted)...)
	slices.SortFunc(want, func(a, b v1alpha1.BGPNode) int { return strings.Compare(a.Name, b.Name) })
	return want, refused
}

// absent returns the BGPNodes of nodes that are gone, without the addresses
// that a present node has by now: the machine may be back under another name.
func absent(gone map[string]*v1alpha1.BGPNode, granted map[string]addresses) []v1alpha1.BGPNode {
	taken := map[string]bool{}
	for _, a := range granted {
		for _, text := range a.strings() {
			taken[text] = true
		}
	}
	var out []v1alpha1.BGPNode
	for _, b := range gone {
		kept := *b
		kept.Spec.Addresses = nil
		for _, a := range b.Spec.Addresses {
			if !taken[a] {
				kept.Spec.Addresses = append(kept.Spec.Addresses, a)
			}
		}
		out = append(out, kept)
	}
	return out
}

// sameBGPNode says whether have needs no update to be want.
func sameBGPNode(have, want *v1alpha1.BGPNode) bool {
	a, b := have.Spec, want.Spec
	sameAddresses := slices.Equal(a.Addresses, b.Addresses)
	a.Addresses, b.Addresses = nil, nil
	return sameAddresses && equalSpec(a, b) && maps.Equal(have.Labels, want.Labels)
}

func equalSpec(a, b v1alpha1.BGPNodeSpec) bool {
	return a.NodeUID == b.NodeUID && a.ASNumber == b.ASNumber && a.RouterID == b.RouterID &&
		a.ListenPort == b.ListenPort && a.GracefulRestartSeconds == b.GracefulRestartSeconds && a.Mesh == b.Mesh &&
		sameVTEP(a.VTEP, b.VTEP) && equality.Semantic.DeepEqual(a.NodeAddress, b.NodeAddress)
}

// routerIDs are the BGP identifiers in use: no two nodes have one (RFC 6286).
type routerIDs map[netip.Addr]string

func newRouterIDs(granted map[string]addresses) routerIDs {
	out := routerIDs{}
	for name, a := range granted {
		if a.v4.IsValid() {
			out[a.v4] = name
		}
	}
	return out
}

// assign returns the node's IPv4 address, else the identifier that it has, else
// one derived from its name.
func (r routerIDs) assign(node string, v4 netip.Addr, current *v1alpha1.BGPNode) string {
	if v4.IsValid() {
		return v4.String()
	}
	if current != nil {
		if id, err := netip.ParseAddr(current.Spec.RouterID); err == nil && r.take(id, node) {
			return id.String()
		}
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(node)) // a hash's Write never fails
	for n := h.Sum32(); ; n++ {
		if id := identifier(n); r.take(id, node) {
			return id.String()
		}
	}
}

func (r routerIDs) take(id netip.Addr, node string) bool {
	if holder, taken := r[id]; taken {
		return holder == node
	}
	r[id] = node
	return true
}

// identifier maps n to an address of 1.0.0.0-126.255.255.255: some speakers
// still refuse identifiers that are no unicast address (RFC 4271 section 6.2).
func identifier(n uint32) netip.Addr {
	var raw [4]byte
	binary.BigEndian.PutUint32(raw[:], n)
	raw[0] = 1 + raw[0]%126
	return netip.AddrFrom4(raw)
}
