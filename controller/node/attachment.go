package node

import (
	"fmt"
	"net/netip"
	"slices"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/cniplugin/store"
	"fairlead.dev/controller/plan"
)

// adoptAttachments looks, before a block for fairlead-ipam comes into the store,
// which of its addresses are in use: the store may be a new one, and no route
// tells of them. While that cannot be found out, the block does not come into the
// store: it returns the Intent without it.
func (a *Agent) adoptAttachments(in plan.Intent) (plan.Intent, error) {
	if a.opts.Attached == nil || !slices.ContainsFunc(in.Blocks, func(b v1alpha1.IPBlock) bool { return b.Spec.IPAMOnly }) {
		return in, nil
	}
	state, err := a.ports.Store.Read()
	if err != nil {
		return in, fmt.Errorf("read the address store: %w", err)
	}
	blocks := notStored(state, in)
	if len(blocks) == 0 {
		return in, nil
	}
	if err = a.adopt(blocks); err == nil {
		return in, nil
	}
	in.Blocks = slices.DeleteFunc(slices.Clone(in.Blocks), func(b v1alpha1.IPBlock) bool {
		cidr, err := netip.ParsePrefix(b.Spec.CIDR)
		return err == nil && slices.Contains(blocks, cidr)
	})
	return in, fmt.Errorf("find out which addresses of blocks for fairlead-ipam are in use: %w", err)
}

func (a *Agent) adopt(blocks []netip.Prefix) error {
	now, err := store.Now()
	if err != nil {
		return err
	}
	found, err := a.opts.Attached()
	if err != nil {
		return err
	}
	var adopted []store.Allocation
	err = a.ports.Store.Update(func(s *store.State) error {
		adopted = s.AdoptFound(found, blocks, now)
		return nil
	})
	if err != nil {
		return err
	}
	for _, x := range adopted {
		a.opts.Logger.Info("address given to the namespace that has it", "address", x.Address, "namespace", x.Netns)
	}
	return nil
}

// notStored are the blocks for fairlead-ipam that the store has no lease of.
func notStored(state store.State, in plan.Intent) []netip.Prefix {
	var out []netip.Prefix
	for _, b := range in.Blocks {
		cidr, err := netip.ParsePrefix(b.Spec.CIDR)
		stored := slices.ContainsFunc(state.Leases, func(l store.Lease) bool { return l.CIDR == cidr })
		if err == nil && b.Spec.IPAMOnly && b.Spec.State != v1alpha1.BlockCooling && !stored {
			out = append(out, cidr)
		}
	}
	return out
}
