package link

import (
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/nl"
)

// mtuDefault is Ethernet's (RFC 894): what is left when no uplink can be told.
const mtuDefault = 1500

// internet holds an address of each family's global unicast range that is
// nobody's: what the node would send there takes its default route.
var internet = []netip.Addr{
	netip.AddrFrom4([4]byte{223, 255, 255, 254}),
	netip.MustParseAddr("2000::1"),
}

// PodMTU is that of new pods' links: UplinkMTU, or the overlay device's where there
// is one, since what a pod sends may go over it.
func (n *Node) PodMTU() (uint32, error) {
	mtu, err := n.UplinkMTU()
	if err != nil {
		return 0, err
	}
	overlay, err := n.conn.Index(dataplane.OverlayLink)
	switch {
	case errors.Is(err, unix.ENODEV):
		return mtu, nil
	case err != nil:
		return 0, err
	}
	inner, err := n.conn.MTU(overlay)
	if errors.Is(err, unix.ENODEV) { // gone meanwhile
		return mtu, nil
	}
	return min(mtu, inner), err
}

// UplinkMTU is the smallest MTU of the links that default routes lead to; on a
// node without one, of the links with addresses that are not link-local; and
// Ethernet's if there is none of these.
func (n *Node) UplinkMTU() (uint32, error) {
	links, err := n.defaultLinks()
	if err == nil && len(links) == 0 {
		links, err = n.addressedLinks()
	}
	if err != nil {
		return 0, err
	}
	smallest := uint32(dataplane.MaxMTU + 1) // that of lo, which is no uplink
	for link := range links {
		mtu, err := n.conn.MTU(link)
		if err != nil {
			return 0, err
		}
		smallest = min(smallest, mtu)
	}
	if smallest > dataplane.MaxMTU {
		return mtuDefault, nil
	}
	return smallest, nil
}

func (n *Node) defaultLinks() (map[uint32]bool, error) {
	links := map[uint32]bool{}
	for _, addr := range internet {
		route, found, err := n.conn.Lookup(addr)
		if err != nil {
			return nil, err
		}
		if found {
			addHops(links, route.Hops)
		}
	}
	return links, nil
}

func addHops(links map[uint32]bool, hops []nl.Hop) {
	for _, hop := range hops {
		links[hop.Link] = true
	}
}

// addressedLinks leaves out the overlay, which goes over the others, and pods'
// links: they have at most a link-local address.
func (n *Node) addressedLinks() (map[uint32]bool, error) {
	addrs, err := n.conn.Addresses()
	if err != nil {
		return nil, err
	}
	overlay, err := n.conn.Index(dataplane.OverlayLink)
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return nil, err
	}
	links := map[uint32]bool{}
	for _, a := range addrs {
		if a.Prefix.Addr().IsGlobalUnicast() && a.Link != overlay {
			links[a.Link] = true
		}
	}
	return links, nil
}
