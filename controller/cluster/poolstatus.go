package cluster

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/api/v1alpha1"
)

// decidePools returns the status of each IPPool, by name.
func decidePools(s *State) map[string]v1alpha1.IPPoolStatus {
	pools := readPools(s)
	var entries []v1alpha1.AddressPlanEntry
	if s.Plan != nil {
		entries = s.Plan.Spec.Entries
	}
	claimed := decideClaims(pools, entries, s.Blocks)
	leased := map[string]int64{}
	poolOf := make(map[string]string, len(s.Blocks))
	for i := range s.Blocks {
		b := &s.Blocks[i]
		leased[b.Spec.PoolUID]++
		poolOf[string(b.UID)] = b.Spec.PoolUID
	}
	used := map[string]int64{}
	for i := range s.NodeStates {
		for _, b := range s.NodeStates[i].Status.Blocks {
			used[poolOf[b.UID]] += b.Used
		}
	}

	out := make(map[string]v1alpha1.IPPoolStatus, len(pools))
	for _, p := range pools {
		status := *p.Status.DeepCopy()
		status.BlocksLeased = leased[string(p.UID)]
		status.AddressesUsed = used[string(p.UID)]
		status.BlockCapacity = 0
		if p.invalid == nil {
			status.BlockCapacity = p.carve.Capacity()
		}
		_, holds := claimed.holds[string(p.UID)]
		refused := claimed.refused[string(p.UID)]
		setConditions(&status.Conditions, s.Now,
			poolReady(p, holds, refused), poolOverlap(p, refused), poolExhausted(p, holds, s.Blocks), poolLimited(p, holds))
		poolAdopted(p, &status.Conditions, s.Now)
		out[p.Name] = status
	}
	return out
}

func poolReady(p *pool, holds bool, refused *problem) metav1.Condition {
	is := func(yes bool, reason, message string) metav1.Condition {
		return condition(v1alpha1.ConditionReady, yes, reason, message, p.Generation)
	}
	switch {
	case p.invalid != nil:
		return is(false, p.invalid.reason, p.invalid.message)
	case p.DeletionTimestamp != nil:
		return is(false, reasonDeleting, "the pool is being deleted: its blocks are taken back as their pods end")
	case refused != nil:
		return is(false, refused.reason, refused.message)
	case !holds:
		return is(false, reasonPending, "the range is about to be claimed in the AddressPlan")
	case p.unselectable != nil:
		return is(false, p.unselectable.reason, p.unselectable.message)
	case p.Spec.EffectiveState() == v1alpha1.PoolDraining:
		return is(true, string(v1alpha1.PoolDraining), "leases nothing; its blocks are taken back as their pods end")
	case p.Spec.EffectiveState() == v1alpha1.PoolDisabled:
		return is(true, string(v1alpha1.PoolDisabled), "leases nothing; what is leased stays in use")
	}
	return is(true, string(v1alpha1.PoolActive), "leases blocks to the nodes that it selects")
}

func poolOverlap(p *pool, refused *problem) metav1.Condition {
	if refused != nil && refused.reason == reasonOverlap {
		return condition(v1alpha1.ConditionOverlap, true, reasonOverlap, refused.message, p.Generation)
	}
	if found := p.occupation(); found != "" {
		return condition(v1alpha1.ConditionOverlap, true, reasonOverlap, found+
			": no block with one is leased any more; in one that is leased already it cannot be reached. Give the node another address, or the pods another IPPool", p.Generation)
	}
	return condition(v1alpha1.ConditionOverlap, false, reasonNoOverlap, "no other pool, no node and no Service holds a part of the range", p.Generation)
}

func poolExhausted(p *pool, holds bool, blocks []v1alpha1.IPBlock) metav1.Condition {
	if holds && p.leases() && len(p.waiting) > 0 {
		if _, free := p.space(blocks).Next(); !free {
			return condition(v1alpha1.ConditionExhausted, true, reasonNoFreeBlock, fmt.Sprintf(
				"all %d blocks of spec.cidr %s are in use, and %d nodes wait for one: %s. Create another IPPool for them, or delete Nodes that are no longer there: their blocks come free after the grace and cooling periods",
				p.carve.Capacity(), p.Spec.CIDR, len(p.waiting), nameSome(waiterNames(p.waiting))), p.Generation)
		}
	}
	return condition(v1alpha1.ConditionExhausted, false, reasonBlocksFree, "no node waits for a block", p.Generation)
}

func poolLimited(p *pool, holds bool) metav1.Condition {
	switch {
	case !holds || !p.leases() || len(p.limited) == 0:
	case p.adopts():
		return condition(v1alpha1.ConditionLimited, true, reasonMaximumReached, fmt.Sprintf(
			"the addresses of the podCIDRs of %d nodes run low: %s. Create another IPPool for them, or let fewer pods run there",
			len(p.limited), nameSome(names(p.limited))), p.Generation)
	default:
		return condition(v1alpha1.ConditionLimited, true, reasonMaximumReached, fmt.Sprintf(
			"%d nodes ask for more blocks than spec.maxBlocksPerNode, %d, lets them have: %s. Raise it (to %d at most), create another IPPool for them, or let fewer pods run there",
			len(p.limited), p.Spec.EffectiveMaxBlocksPerNode(), nameSome(names(p.limited)), v1alpha1.MaxBlocksPerNode), p.Generation)
	}
	return condition(v1alpha1.ConditionLimited, false, reasonBelowMaximum, "no node asks for more blocks than spec.maxBlocksPerNode", p.Generation)
}
