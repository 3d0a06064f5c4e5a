package cluster

import (
	"fmt"
	"net/netip"
	"slices"

	"fairlead.dev/api/v1alpha1"
)

// claims is who holds which range, and who may not.
type claims struct {
	// holds is the entry of each pool UID that has one.
	holds map[string]v1alpha1.AddressPlanEntry
	// refused is why a pool has no entry, by UID.
	refused map[string]*problem
	// add are the entries to write, oldest pool first.
	add []v1alpha1.AddressPlanEntry
	// gone are the UIDs of pools that have an entry and are no more; orphans
	// are the entries of those in which no block lies.
	gone    []string
	orphans []v1alpha1.AddressPlanEntry
}

// decideClaims says which pools get their range. pools are in the order of
// their age: the first to claim a range has it.
func decideClaims(pools []*pool, entries []v1alpha1.AddressPlanEntry, blocks []v1alpha1.IPBlock) claims {
	out := claims{holds: map[string]v1alpha1.AddressPlanEntry{}, refused: map[string]*problem{}}
	alive := map[string]bool{}
	for _, p := range pools {
		alive[string(p.UID)] = true
	}
	for _, e := range entries {
		out.holds[e.PoolUID] = e
		if alive[e.PoolUID] {
			continue
		}
		out.gone = append(out.gone, e.PoolUID)
		if !inUse(blocks, e.CIDR) {
			out.orphans = append(out.orphans, e)
		}
	}
	entries = slices.Clone(entries)
	for _, p := range pools {
		if _, held := out.holds[string(p.UID)]; held || p.invalid != nil || p.DeletionTimestamp != nil {
			continue
		}
		if refusal := refuse(p, entries, blocks, alive); refusal != nil {
			out.refused[string(p.UID)] = refusal
			continue
		}
		e := v1alpha1.AddressPlanEntry{CIDR: p.Spec.CIDR, BlockSize: int32(p.carve.BlockSize()), PoolName: p.Name, PoolUID: string(p.UID), IPAMOnly: !p.Spec.EffectiveAdvertise()}
		entries = append(entries, e)
		out.add = append(out.add, e)
	}
	return out
}

// refuse returns why p cannot have its range, nil if it can.
func refuse(p *pool, entries []v1alpha1.AddressPlanEntry, blocks []v1alpha1.IPBlock, alive map[string]bool) *problem {
	for _, e := range entries {
		if !overlaps(p.carve.CIDR(), e.CIDR) {
			continue
		}
		if alive[e.PoolUID] {
			return &problem{reasonOverlap, fmt.Sprintf(
				"spec.cidr %s overlaps %s of IPPool/%s, which claimed it first: delete one of the two; nothing is leased from this one meanwhile",
				p.Spec.CIDR, e.CIDR, e.PoolName)}
		}
		return &problem{reasonOverlap, fmt.Sprintf(
			"spec.cidr %s overlaps %s of IPPool/%s, which was deleted and whose blocks are not all released yet: wait, or delete the pods that use it",
			p.Spec.CIDR, e.CIDR, e.PoolName)}
	}
	if found := p.occupation(); found != "" {
		return &problem{reasonOverlap, found + ": nothing is leased from it, as addresses of nodes and Services cannot be pods'. Delete it, and create one beside their networks or with these in spec.reserved"}
	}
	// Blocks outside the plan are left when somebody deleted the AddressPlan.
	for i := range blocks {
		if b := &blocks[i]; b.Spec.PoolUID != string(p.UID) && overlaps(p.carve.CIDR(), b.Spec.CIDR) {
			return &problem{reasonOverlap, fmt.Sprintf(
				"spec.cidr %s overlaps IPBlock/%s (%s) of IPPool/%s: wait until it is released",
				p.Spec.CIDR, b.Name, b.Spec.CIDR, b.Spec.PoolName)}
		}
	}
	if len(entries) >= v1alpha1.MaxPlanEntries {
		return &problem{reasonPlanFull, fmt.Sprintf("the AddressPlan holds %d ranges, the most that it can: delete an IPPool", len(entries))}
	}
	return nil
}

// inUse says whether any block overlaps cidr.
func inUse(blocks []v1alpha1.IPBlock, cidr string) bool {
	outer, err := netip.ParsePrefix(cidr)
	return err != nil || slices.ContainsFunc(blocks, func(b v1alpha1.IPBlock) bool {
		return overlaps(outer, b.Spec.CIDR)
	})
}

// overlaps says whether a and the prefix written b share an address. What
// cannot be read shares one.
func overlaps(a netip.Prefix, b string) bool {
	parsed, err := netip.ParsePrefix(b)
	return err != nil || a.Overlaps(parsed)
}
