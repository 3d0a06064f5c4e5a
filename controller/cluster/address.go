package cluster

import (
	"cmp"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"fairlead.dev/api/v1alpha1"
)

// addresses are a node's own, one of each family; invalid where it has none.
type addresses struct{ v4, v6 netip.Addr }

// strings lists the valid ones, IPv4 first.
func (a addresses) strings() []string {
	var out []string
	for _, x := range []netip.Addr{a.v4, a.v6} {
		if x.IsValid() {
			out = append(out, x.String())
		}
	}
	return out
}

// of returns the one of a family.
func (a *addresses) of(is4 bool) *netip.Addr {
	if is4 {
		return &a.v4
	}
	return &a.v6
}

// set keeps the first usable address of each family.
func (a *addresses) set(text string) {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return
	}
	addr = addr.Unmap()
	if addr.Zone() != "" || !addr.IsGlobalUnicast() {
		return
	}
	if at := a.of(addr.Is4()); !at.IsValid() {
		*at = addr
	}
}

// refusal says that a node may not have an address, since another has it.
type refusal struct {
	node, holder string
	address      netip.Addr
}

// decideAddresses gives each node its first InternalIP of each family, and no
// address to two nodes. Who holds it keeps it: a node that starts to claim
// another's address must not take it over. Between nodes of which none holds it
// the older has it, then the first by name. A node that is refused an address,
// or that reports none at all, keeps what it had.
func decideAddresses(nodes []corev1.Node, current map[string]*v1alpha1.BGPNode) (map[string]addresses, []refusal) {
	wanted, had := map[string]addresses{}, map[string]addresses{}
	order := make([]*corev1.Node, len(nodes))
	for i := range nodes {
		n := &nodes[i]
		order[i] = n
		had[n.Name] = parseAddresses(current[n.Name])
		wanted[n.Name] = internal(n)
		if wanted[n.Name] == (addresses{}) {
			wanted[n.Name] = had[n.Name]
		}
	}
	slices.SortFunc(order, func(a, b *corev1.Node) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})

	held := map[netip.Addr]string{}
	grant := func(node string, a netip.Addr) {
		if _, taken := held[a]; a.IsValid() && !taken {
			held[a] = node
		}
	}
	for _, n := range order {
		w, h := wanted[n.Name], had[n.Name]
		for _, is4 := range []bool{true, false} {
			if *w.of(is4) == *h.of(is4) {
				grant(n.Name, *w.of(is4))
			}
		}
	}
	for _, n := range order {
		w := wanted[n.Name]
		grant(n.Name, w.v4)
		grant(n.Name, w.v6)
	}

	out, refused := make(map[string]addresses, len(nodes)), []refusal{}
	for _, n := range order {
		w, h := wanted[n.Name], had[n.Name]
		for _, is4 := range []bool{true, false} {
			want := w.of(is4)
			if holder := held[*want]; want.IsValid() && holder != n.Name {
				refused = append(refused, refusal{n.Name, holder, *want})
				*want = *h.of(is4)
				grant(n.Name, *want)
				if held[*want] != n.Name {
					*want = netip.Addr{}
				}
			}
		}
		out[n.Name] = w
	}
	return out, refused
}

// internal returns the addresses that the Node reports.
func internal(n *corev1.Node) addresses {
	var out addresses
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			out.set(a.Address)
		}
	}
	return out
}

func parseAddresses(b *v1alpha1.BGPNode) addresses {
	var out addresses
	if b != nil {
		for _, a := range b.Spec.Addresses {
			out.set(a)
		}
	}
	return out
}
