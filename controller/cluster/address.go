package cluster

import (
	"cmp"
	"fmt"
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
	if addr, ok := parseAddress(text); ok {
		a.keep(addr)
	}
}

// keep keeps addr if there is none of its family.
func (a *addresses) keep(addr netip.Addr) {
	if at := a.of(addr.Is4()); !at.IsValid() {
		*at = addr
	}
}

// parseAddress is not ok for what cannot be a node's own.
func parseAddress(text string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return addr, false
	}
	addr = addr.Unmap()
	return addr, addr.Zone() == "" && addr.IsGlobalUnicast()
}

// decideAddresses gives each node the first address of each family that its rule
// finds, and no address to two nodes. Who holds it keeps it: a node that starts to
// claim another's address must not take it over. Between nodes of which none holds
// it the older has it, then the first by name. A node that is refused an address,
// or of which none is reported, keeps what it had: what is missing deletes nothing.
func decideAddresses(s *State, gov governance) (map[string]addresses, []refusal) {
	var refused []refusal
	wanted, had := map[string]addresses{}, currentAddresses(s)
	states, pods := s.nodeStatesByName(), podRanges(s)
	order := make([]*corev1.Node, len(s.Nodes))
	for i := range s.Nodes {
		n := &s.Nodes[i]
		order[i] = n
		c := candidacy{node: n, config: gov.of[n.Name], pods: pods, had: had[n.Name]}
		if state := states[n.Name]; state != nil && speaksFor(state, n) {
			c.reported = state.Status.CandidateAddresses
		}
		var bad []refusal
		wanted[n.Name], bad = c.decide()
		refused = append(refused, bad...)
	}
	slices.SortFunc(order, func(a, b *corev1.Node) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	granted, taken := grantAddresses(order, wanted, had)
	for i := range taken {
		taken[i].config = configName(gov.of[taken[i].node])
	}
	return granted, append(refused, taken...)
}

// grantAddresses settles who has what several want, in each family.
func grantAddresses(order []*corev1.Node, wanted, had map[string]addresses) (map[string]addresses, []refusal) {
	out := make(map[string]addresses, len(order))
	var refused []refusal
	for _, is4 := range []bool{true, false} {
		want, has := make([]netip.Addr, len(order)), make([]netip.Addr, len(order))
		for i, n := range order {
			w, h := wanted[n.Name], had[n.Name]
			want[i], has[i] = *w.of(is4), *h.of(is4)
		}
		holder, stays := settle(want, has)
		for i, n := range order {
			got := want[i]
			if stays[i] && want[i] != has[i] {
				refused = append(refused, refusal{node: n.Name, address: want[i].String(), why: fmt.Sprintf(
					"it is node %s's, which has had it for longer: give each node an address of its own", order[holder[want[i]]].Name)})
				got = has[i]
			}
			if at, held := holder[got]; !held || at != i {
				got = netip.Addr{}
			}
			a := out[n.Name]
			*a.of(is4) = got
			out[n.Name] = a
		}
	}
	return out, refused
}

// settle returns who, by number, holds each address once all have moved that can,
// and who stays with what it has. A node gives up what it has only for what it
// gets: else whom it is refused for the sake of one, another could take the other
// from. So all move at first, two that swap too; who cannot stays, which may keep
// others from moving.
func settle(want, has []netip.Addr) (holder map[netip.Addr]int, stays []bool) {
	stays = make([]bool, len(want))
	for i := range want {
		stays[i] = want[i] == has[i]
	}
	for {
		holder = make(map[netip.Addr]int, len(want))
		take := func(a netip.Addr, i int) {
			if _, taken := holder[a]; a.IsValid() && !taken {
				holder[a] = i
			}
		}
		for i, stay := range stays {
			if stay {
				take(has[i], i)
			}
		}
		settled := true
		for i, stay := range stays {
			if stay {
				continue
			}
			if take(want[i], i); want[i].IsValid() && holder[want[i]] != i {
				stays[i], settled = true, false
			}
		}
		if settled {
			return holder, stays
		}
	}
}

// currentAddresses are those that the nodes have, by node.
func currentAddresses(s *State) map[string]addresses {
	out := make(map[string]addresses, len(s.BGPNodes))
	for i := range s.BGPNodes {
		var a addresses
		for _, text := range s.BGPNodes[i].Spec.Addresses {
			a.set(text)
		}
		out[s.BGPNodes[i].Name] = a
	}
	return out
}

// podRanges are the AddressPlan's: addresses of pods, and of no node.
func podRanges(s *State) []v1alpha1.AddressPlanEntry {
	if s.Plan == nil {
		return nil
	}
	return s.Plan.Spec.Entries
}
