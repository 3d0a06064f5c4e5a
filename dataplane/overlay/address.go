package overlay

import (
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/link"
	"fairlead.dev/dataplane/nl"
)

// linkLocal4 is on every device, for the kernel takes a packet whose way back is
// not by the link that it came by only if that link has an IPv4 address, however
// loose rp_filter is (__fib_validate_source). It is the pods' gateway, and so the
// node's already, and as a link-local one never the source of what goes further.
func linkLocal4() netip.Addr { return link.Gateway(netip.IPv4Unspecified()) }

// setAddresses gives the device its addresses, linkLocal4, and the link-local one
// that is made from its MAC. It says whether others are left.
func (d *Device) setAddresses(index uint32, want dataplane.Overlay, prune bool) (surplus bool, err error) {
	wanted := append(slices.Clone(want.Addresses), linkLocal4())
	if d.speaksIPv6() {
		wanted = append(wanted, want.MAC.LinkLocal())
	}
	have, err := d.addresses(index)
	if err != nil {
		return false, err
	}
	var steps, removals []step
	for _, addr := range wanted {
		if !slices.ContainsFunc(have, func(a nl.Address) bool { return a.Prefix == whole(addr) }) {
			steps = append(steps, step{fmt.Sprintf("add address %s", addr), nl.AddAddress(index, addr), unix.EEXIST})
		}
	}
	for _, a := range have {
		if a.Prefix != whole(a.Prefix.Addr()) || !slices.Contains(wanted, a.Prefix.Addr()) {
			removals = append(removals, step{fmt.Sprintf("remove address %s", a.Prefix), nl.DeleteAddress(a), unix.EADDRNOTAVAIL})
		}
	}
	return d.finish(steps, removals, prune)
}

func whole(addr netip.Addr) netip.Prefix { return netip.PrefixFrom(addr, addr.BitLen()) }

// addresses are those on the device, sorted. An interrupted listing is an error:
// an address that it lacks would be taken for free.
func (d *Device) addresses(index uint32) ([]nl.Address, error) {
	all, err := d.conn.Addresses()
	if err != nil {
		return nil, fmt.Errorf("read the addresses of device %s: %w", dataplane.OverlayLink, err)
	}
	found := slices.DeleteFunc(all, func(a nl.Address) bool { return a.Link != index })
	slices.SortFunc(found, func(a, b nl.Address) int { return dataplane.ComparePrefix(a.Prefix, b.Prefix) })
	return found, nil
}
