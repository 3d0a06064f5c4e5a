package plan

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/bgp"
	"fairlead.dev/dataplane"
)

// way finds the ways to the blocks of other nodes.
type way struct {
	s       Snapshot
	self    node
	out     *overlay
	guard   func(netip.Prefix) string
	ours    []netip.Prefix
	refused map[netip.Prefix]string
	// vteps are by node, nil for one that cannot be sent to; barred says why.
	vteps  map[string]*dataplane.VTEP
	barred map[barrier][]string
	// holders are the nodes by MAC.
	holders map[dataplane.MAC]string
	// addresses of all nodes, sorted.
	addresses []netip.Addr
}

// barrier is what keeps this node from sending to another's device, and the field
// of its BGPNode that is at fault.
type barrier struct{ field, why string }

func (w *way) plan(encapsulated map[string]v1alpha1.Encapsulation) []Problem {
	others := map[string]v1alpha1.BGPNode{}
	parsed := map[string]node{}
	var problems []Problem
	for _, n := range w.s.Intent.Mesh {
		other, bad := parseNode(n)
		if !w.self.mesh { // else planMesh has said it
			problems = append(problems, bad...)
		}
		others[n.Name], parsed[n.Name] = n, other
		w.addresses = append(w.addresses, other.addresses...)
	}
	slices.SortFunc(w.addresses, netip.Addr.Compare)
	w.vteps, w.barred, w.holders = map[string]*dataplane.VTEP{}, map[barrier][]string{}, map[dataplane.MAC]string{w.out.Want.MAC: w.self.name}
	for _, b := range w.s.Intent.MeshBlocks {
		encapsulation, ok := encapsulated[b.Spec.PoolUID]
		other, known := parsed[b.Spec.NodeName]
		// A malformed block is reported by the node that holds it.
		cidr, err := netip.ParsePrefix(b.Spec.CIDR)
		foreign := b.Spec.NodeName != w.self.name && !slices.Contains(w.ours, cidr)
		if !ok || !known || err != nil || !foreign || b.Spec.State == v1alpha1.BlockCooling || b.Spec.IPAMOnly {
			continue
		}
		if why := w.refusal(cidr); why != "" {
			w.refused[cidr] = why
			continue
		}
		route, ok := w.direct(cidr, other, encapsulation)
		if !ok {
			route, ok = w.encapsulate(cidr, other, others[other.name].Spec.VTEP)
		}
		if ok {
			w.out.routes = append(w.out.routes, route)
			w.out.Nodes[cidr] = other.name
		}
	}
	dataplane.SortRoutes(w.out.routes)
	for _, v := range w.vteps {
		if v == nil {
			continue
		}
		slices.SortFunc(v.Neighbours, netip.Addr.Compare)
		w.out.Want.VTEPs = append(w.out.Want.VTEPs, *v)
	}
	slices.SortFunc(w.out.Want.VTEPs, func(a, b dataplane.VTEP) int { return a.MAC.Compare(b.MAC) })
	return append(problems, w.problems()...)
}

// refusal says, beside what any route is refused for, whether the underlay lies in
// the block: outer packets would be sent over the device again.
func (w *way) refusal(block netip.Prefix) string {
	if why := w.guard(block); why != "" {
		return why
	}
	i, _ := slices.BinarySearchFunc(w.addresses, block.Addr(), netip.Addr.Compare)
	if i < len(w.addresses) && block.Contains(w.addresses[i]) {
		return fmt.Sprintf("covers the address of a node, %s", w.addresses[i])
	}
	return ""
}

// direct is the way to a node of the same subnet, where the pool wants it so.
func (w *way) direct(block netip.Prefix, other node, e v1alpha1.Encapsulation) (dataplane.Route, bool) {
	hop, ok := other.address(block.Addr())
	near := slices.ContainsFunc(w.s.Local, func(l netip.Prefix) bool { return l.Contains(hop) && l.Addr() != hop })
	if e != v1alpha1.EncapsulationVXLANCrossSubnet || !ok || !near {
		return dataplane.Route{}, false
	}
	return dataplane.Route{Prefix: block, NextHops: []netip.Addr{hop}}, true
}

// encapsulate is the way over the device. Its source is the node's own overlay
// address, so that the answer to what the node itself sends, or translates to its
// own address, comes back over the overlay: the underlay may know no pod address,
// and a strict check of the return path would drop it.
func (w *way) encapsulate(block netip.Prefix, other node, vtep *v1alpha1.VTEP) (dataplane.Route, bool) {
	v := w.vtep(other, vtep)
	if v == nil || w.s.Overlay.Broken && w.learned(block) {
		return dataplane.Route{}, false
	}
	// The kernel takes no IPv6 address for a neighbour on one link when it has a
	// route to it over another, and an IPv4-only node has none: docs/design/0017.
	hop := v.MAC.LinkLocal()
	if block.Addr().Is4() && v.Underlay.Is4() {
		hop = v.Underlay
	}
	if !slices.Contains(v.Neighbours, hop) {
		v.Neighbours = append(v.Neighbours, hop)
	}
	route := dataplane.Route{Prefix: block, NextHops: []netip.Addr{hop}, Link: dataplane.OverlayLink}
	for _, a := range w.out.Want.Addresses {
		if a.Is4() == block.Addr().Is4() {
			route.Source = a
		}
	}
	return route, true
}

// learned says that BGP has a way too. One over a device that cannot be had stays
// wanted where it is the only one.
func (w *way) learned(block netip.Prefix) bool {
	return slices.ContainsFunc(w.s.RIB, func(r bgp.Route) bool { return r.Prefix == block })
}

// vtep is the other node's end, nil if it cannot be sent to.
func (w *way) vtep(other node, vtep *v1alpha1.VTEP) *dataplane.VTEP {
	if v, known := w.vteps[other.name]; known {
		return v
	}
	w.vteps[other.name] = nil
	mac := dataplane.OverlayMAC(other.name)
	b := w.bar(other, vtep)
	if holder, taken := w.holders[mac]; taken && b == (barrier{}) {
		b = barrier{"metadata.name", fmt.Sprintf("gives the same MAC as %q: rename one of the two nodes", holder)}
	}
	if b != (barrier{}) {
		w.barred[b] = append(w.barred[b], other.name)
		return nil
	}
	w.holders[mac] = other.name
	w.vteps[other.name] = &dataplane.VTEP{MAC: mac, Underlay: other.underlay()}
	return w.vteps[other.name]
}

func (w *way) bar(other node, vtep *v1alpha1.VTEP) barrier {
	ours := w.s.Overlay.VXLAN
	switch {
	case len(other.addresses) == 0:
		return barrier{"spec.addresses", "is empty: there is none to send to"}
	case other.underlay().Is4() != w.self.underlay().Is4():
		return barrier{"spec.addresses", fmt.Sprintf("has no address of the family of %s, this node's: VXLAN goes over IPv4, and between nodes without IPv4 over IPv6", w.self.underlay())}
	case vtep == nil:
		return barrier{"spec.vtep", "is not there: the node's VXLAN device is not up yet"}
	case uint32(vtep.VNI) != ours.VNI || vtep.Port != int32(ours.Port):
		return barrier{"spec.vtep", fmt.Sprintf("is VNI %d on UDP port %d, this node's is VNI %d on %d: give all agents the same vxlanVNI and vxlanPort", vtep.VNI, vtep.Port, ours.VNI, ours.Port)}
	}
	return barrier{}
}

// problems has one for each reason: what is wrong with one node is often wrong
// with all.
func (w *way) problems() []Problem {
	reasons := slices.SortedFunc(maps.Keys(w.barred), func(a, b barrier) int {
		return cmp.Or(cmp.Compare(a.field, b.field), cmp.Compare(a.why, b.why))
	})
	var out []Problem
	for _, r := range reasons {
		names := slices.Sorted(slices.Values(w.barred[r]))
		text := r.why + "; until then its blocks are sent to as BGP says"
		if len(names) > 1 {
			text += fmt.Sprintf(" (so it is with %d nodes)", len(names))
		}
		out = append(out, Problem{"BGPNode/" + names[0], r.field, text})
	}
	return out
}
