package node

import (
	"fmt"
	"net/netip"
	"slices"

	"fairlead.dev/cniplugin/store"
	"fairlead.dev/dataplane"
)

// served are those of the blocks of which the kernel routes an address to a pod
// here. When the routes cannot be listed these are all: missing input withdraws
// nothing.
func (a *Agent) served(blocks []netip.Prefix) []netip.Prefix {
	if len(blocks) == 0 {
		return nil
	}
	routes, err := a.ports.Links.PodRoutes()
	if err != nil {
		a.opts.Logger.Warn("routes to pods are not known: blocks in use stay announced", "err", err)
		return blocks
	}
	return slices.DeleteFunc(blocks, func(block netip.Prefix) bool {
		return !slices.ContainsFunc(routes, func(r dataplane.PodRoute) bool { return block.Contains(r.Address) })
	})
}

// note writes into the store which blocks are announced from now on, before they
// are: the next agent has to know it to keep them so.
func (a *Agent) note(leases []store.Lease, announce []netip.Prefix) error {
	if !slices.ContainsFunc(leases, func(l store.Lease) bool { return l.Announced != slices.Contains(announce, l.CIDR) }) {
		return nil
	}
	err := a.ports.Store.Update(func(s *store.State) error {
		for i := range s.Leases {
			s.Leases[i].Announced = slices.Contains(announce, s.Leases[i].CIDR)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("note announced blocks in the address store: %w", err)
	}
	return nil
}
