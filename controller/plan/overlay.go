package plan

import (
	"net/netip"
	"slices"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/dataplane"
)

// Overlay is the part of a Snapshot that is about this node's VXLAN device.
type Overlay struct {
	dataplane.VXLAN
	// UplinkMTU is the smallest of the uplinks'.
	UplinkMTU uint32
	// Held are the node's overlay addresses in the address store.
	Held []netip.Addr
	// Lingers says that the device is to stay a while though nothing wants it:
	// other nodes may still send to it.
	Lingers bool
	// Broken says that the device cannot be had: nothing is to be sent over it that
	// BGP has another way for.
	Broken bool
}

// Device is the part of a Plan that is about this node's VXLAN device.
type Device struct {
	// Want is the device, nil for none, or, if it is Wanted, for as it is.
	Want *dataplane.Overlay
	// Wanted says that a pool needs it: else it only lingers.
	Wanted bool
	// Blocks, sorted, are those of which one of each family gives the node its
	// overlay address.
	Blocks []netip.Prefix
	// Nodes are those that the routes made from IPBlocks lead to, over the device
	// or directly.
	Nodes map[netip.Prefix]string
}

// overlay is a Device and the routes to the blocks of other nodes.
type overlay struct {
	Device
	routes []dataplane.Route
}

// planOverlay wants a device on every node as soon as any pool is encapsulated,
// so that it is ready before anybody sends to it.
func planOverlay(s Snapshot, self node, own blocks, guard func(netip.Prefix) string) (overlay, map[netip.Prefix]string, []Problem) {
	encapsulated, refused := encapsulations(s.Intent.Pools), map[netip.Prefix]string{}
	if len(encapsulated) == 0 && !s.Overlay.Lingers {
		return overlay{}, refused, nil
	}
	if len(self.addresses) == 0 {
		return overlay{Device: Device{Wanted: len(encapsulated) > 0}}, refused, []Problem{{
			"BGPNode/" + self.name, "spec.addresses",
			"is empty, so pools with an encapsulation cannot be reached from here: the node needs an address that the BGPConfiguration's nodeAddress finds",
		}}
	}
	local := self.underlay()
	out := overlay{Device: Device{
		Wanted: len(encapsulated) > 0,
		Blocks: overlayBlocks(s.Intent.Blocks, own, encapsulated),
		Nodes:  map[netip.Prefix]string{},
		Want: &dataplane.Overlay{
			VXLAN: s.Overlay.VXLAN, Local: local, MAC: dataplane.OverlayMAC(self.name),
			MTU: dataplane.OverlayMTU(s.Overlay.UplinkMTU, local),
		},
	}}
	out.Want.Addresses = overlayAddresses(s.Overlay.Held, out.Blocks, overlayBlocks(s.Intent.Blocks, own, nil))
	w := way{s: s, self: self, out: &out, guard: guard, ours: own.ours, refused: refused}
	problems := w.plan(encapsulated)
	return out, refused, problems
}

// encapsulations of the pools that have one, by UID.
func encapsulations(pools []v1alpha1.IPPool) map[string]v1alpha1.Encapsulation {
	out := map[string]v1alpha1.Encapsulation{}
	for _, p := range pools {
		if e := p.Spec.Encapsulation; e != "" && e != v1alpha1.EncapsulationNone {
			out[string(p.UID)] = e
		}
	}
	return out
}

// Encapsulated says whether any of the pools has an encapsulation.
func Encapsulated(pools []v1alpha1.IPPool) bool { return len(encapsulations(pools)) > 0 }

// underlay is the address that the node sends and is sent to: over IPv4, or, where
// it has none, IPv6. A device has one family, and every node must know that of
// every other.
func (n node) underlay() netip.Addr {
	return slices.MinFunc(n.addresses, netip.Addr.Compare) // IPv4 comes first
}

// overlayBlocks are the node's own that may give it an overlay address, sorted:
// open ones of encapsulated pools, of any pool if encapsulated is nil.
func overlayBlocks(mine []v1alpha1.IPBlock, own blocks, encapsulated map[string]v1alpha1.Encapsulation) []netip.Prefix {
	uids := map[string]string{} // of the pool, by block
	for _, b := range mine {
		uids[b.Spec.CIDR] = b.Spec.PoolUID
	}
	var out []netip.Prefix
	for _, l := range own.leases {
		_, ok := encapsulated[uids[l.CIDR.String()]]
		if !l.Closed && !l.IPAMOnly && (ok || encapsulated == nil) {
			out = append(out, l.CIDR)
		}
	}
	return out
}

// overlayAddresses are those of the addresses held that the device is to have: of
// each family the first in one of the blocks. One whose pool is not encapsulated any
// more stays for the connections that have it, as long as its block is open. One
// whose block drains stays until the next one is there.
func overlayAddresses(held []netip.Addr, blocks, open []netip.Prefix) []netip.Addr {
	var out []netip.Addr
	for _, is4 := range []bool{true, false} {
		family := slices.DeleteFunc(slices.Clone(held), func(a netip.Addr) bool { return a.Is4() != is4 })
		next := append(within(family, blocks), within(family, open)...)
		switch {
		case len(next) > 0:
			out = append(out, next[0])
		case len(family) > 0 && slices.ContainsFunc(blocks, func(b netip.Prefix) bool { return b.Addr().Is4() == is4 }):
			out = append(out, family[0])
		}
	}
	return out
}

func within(addrs []netip.Addr, blocks []netip.Prefix) []netip.Addr {
	var out []netip.Addr
	for _, a := range addrs {
		if slices.ContainsFunc(blocks, func(b netip.Prefix) bool { return b.Contains(a) }) {
			out = append(out, a)
		}
	}
	return out
}
