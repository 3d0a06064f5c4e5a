package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/bgp"
)

// Selects says whether a nodeSelector matches a node's labels. A nil selector matches all.
func Selects(sel *metav1.LabelSelector, node map[string]string) (bool, error) {
	if sel == nil {
		return true, nil
	}
	s, err := metav1.LabelSelectorAsSelector(sel)
	if err != nil {
		return false, err
	}
	return s.Matches(labels.Set(node)), nil
}

// Barred is a session that a BGPPeer asks for and that cannot be had here.
type Barred struct {
	Peer    string
	Address string
	ASN     int64
	Why     string
}

// peers is the part of the plan that follows from BGPPeers and the mesh.
type peers struct {
	sessions []bgp.Peer // sorted by address
	names    map[netip.Addr]string
	barred   []Barred // sorted by peer
}

// planPeers puts BGPPeers before the mesh, older before younger: the first to
// name an address has it.
func planPeers(in Intent, self node, ranges []netip.Prefix) (peers, []Problem) {
	var problems []Problem
	out := peers{names: map[netip.Addr]string{}}

	wanted := slices.Clone(in.Peers)
	slices.SortFunc(wanted, func(a, b v1alpha1.BGPPeer) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
	})
	for _, p := range wanted {
		object := "BGPPeer/" + p.Name
		selected, err := Selects(p.Spec.NodeSelector, in.Node.Labels)
		if err != nil {
			problems = append(problems, Problem{object, "spec.nodeSelector", err.Error()})
			continue
		}
		if !selected {
			continue
		}
		session, bad := planPeer(p, in.Keys, self, ranges)
		if first, taken := out.names[session.Address]; bad == nil && taken {
			bad = &Problem{object, "spec.address", fmt.Sprintf("%s is already the address of BGPPeer/%s on this node: remove one of the two", session.Address, first)}
		}
		if bad != nil {
			problems = append(problems, *bad)
			out.barred = append(out.barred, Barred{p.Name, p.Spec.Address, p.Spec.ASNumber, bad.Field + ": " + bad.Message})
			continue
		}
		out.names[session.Address] = p.Name
		out.sessions = append(out.sessions, session)
	}

	mesh, bad := planMesh(in, self)
	problems = append(problems, bad...)
	for _, m := range mesh {
		if _, taken := out.names[m.peer.Address]; taken {
			continue // a BGPPeer to a node of the mesh is a choice, not a mistake
		}
		out.names[m.peer.Address] = "node/" + m.name
		out.sessions = append(out.sessions, m.peer)
	}
	slices.SortFunc(out.sessions, func(a, b bgp.Peer) int { return a.Address.Compare(b.Address) })
	slices.SortFunc(out.barred, func(a, b Barred) int { return strings.Compare(a.Peer, b.Peer) })
	return out, problems
}

func planPeer(p v1alpha1.BGPPeer, keys map[string]string, self node, ranges []netip.Prefix) (bgp.Peer, *Problem) {
	object := "BGPPeer/" + p.Name
	addr, bad := parseAddr(object, "spec.address", p.Spec.Address)
	if bad != nil {
		return bgp.Peer{}, bad
	}
	if slices.Contains(self.addresses, addr) {
		return bgp.Peer{}, &Problem{object, "spec.address", fmt.Sprintf("%s is this node's own address: exclude the node by spec.nodeSelector", addr)}
	}
	out := bgp.Peer{
		Address:      addr,
		ASN:          uint32(p.Spec.ASNumber),
		Passive:      p.Spec.Passive,
		HoldTime:     seconds(p.Spec.HoldTimeSeconds),
		Keepalive:    seconds(p.Spec.KeepaliveSeconds),
		ConnectRetry: seconds(p.Spec.ConnectRetrySeconds),
		AllowLocalAS: int(p.Spec.AllowLocalAS),
		Accept:       family(ranges, addr),
	}
	if out.Passive && self.listenPort == -1 {
		return bgp.Peer{}, &Problem{object, "spec.passive", "this node's BGPConfiguration has listenPort -1, so neither side could connect: set passive to false or listen on a port"}
	}
	if ref := p.Spec.AuthSecretRef; ref != nil {
		key, found := keys[KeyName(*ref)]
		if !found || key == "" {
			return bgp.Peer{}, &Problem{object, "spec.authSecretRef", fmt.Sprintf("Secret %q has no key %q in Fairlead's namespace: there is no session until it has, since one without its key would be unprotected", ref.Name, ref.Key)}
		}
		if len(key) > bgp.MaxPassword {
			return bgp.Peer{}, &Problem{object, "spec.authSecretRef", fmt.Sprintf("key %q of Secret %q has %d bytes, the kernel takes at most %d as a TCP MD5 key", ref.Key, ref.Name, len(key), bgp.MaxPassword)}
		}
		out.Password = key
	}
	return out, nil
}

// family returns the prefixes of addr's address family.
func family(all []netip.Prefix, addr netip.Addr) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range all {
		if p.Addr().Is4() == addr.Is4() {
			out = append(out, p)
		}
	}
	return out
}
