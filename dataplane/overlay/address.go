package overlay

import (
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/nl"
)

// setAddresses gives the device its addresses, and the link-local one that is
// made from its MAC. It says whether others are left.
func (d *Device) setAddresses(index uint32, want dataplane.Overlay, prune bool) (surplus bool, err error) {
	wanted := slices.Clone(want.Addresses)
	if speaksIPv6() {
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
