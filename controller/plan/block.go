package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/cniplugin/store"
	"fairlead.dev/dataplane"
)

// blocks is the part of the plan that follows from this node's IPBlocks.
type blocks struct {
	leases   []store.Lease
	routes   []dataplane.Route
	announce []netip.Prefix
	serving  []netip.Prefix
	released []string
	// ours are the blocks of pods that this node still serves.
	ours    []netip.Prefix
	wants   []Want
	awaited []string
}

func planBlocks(s Snapshot) (blocks, []Problem) {
	var out blocks
	var problems []Problem
	pools := map[string]v1alpha1.IPPool{}
	for _, p := range s.Intent.Pools {
		pools[string(p.UID)] = p
	}
	wants, surplus := planGrowth(s, pools)
	out.wants, out.awaited = wants, planAwaited(s.Intent, pools)
	known := map[netip.Prefix]bool{}
	for _, b := range s.Intent.Blocks {
		cidr, bad := parsePrefix("IPBlock/"+b.Name, "spec.cidr", b.Spec.CIDR)
		if bad != nil {
			problems = append(problems, *bad)
			continue
		}
		known[cidr] = true
		held, stored := s.Leases[cidr]
		out.add(b, store.Lease{
			CIDR: cidr, UID: string(b.UID), Pool: b.Spec.PoolName, IPAMOnly: b.Spec.IPAMOnly,
			Closed:    b.Spec.State != v1alpha1.BlockLeased || surplus[cidr] || slices.Contains(s.Shut, cidr),
			Announced: held.Announced && held.UID == string(b.UID),
			Reserved:  reservedIn(pools[b.Spec.PoolUID], cidr),
		}, held, stored)
		if b.Spec.State == v1alpha1.BlockCooling && held.Used > 0 {
			problems = append(problems, lost("IPBlock/"+b.Name, "is "+string(b.Spec.State), held.Used, "delete"))
		}
	}
	// A lease that the API no longer knows takes no new pod. Its addresses stay
	// in the store until their pods end, so that no other lease can give them out.
	for cidr, held := range s.Leases {
		if !known[cidr] && held.Used > 0 {
			out.leases = append(out.leases, store.Lease{CIDR: cidr, UID: held.UID, Closed: true, IPAMOnly: held.IPAMOnly})
			problems = append(problems, lost("IPBlock/"+v1alpha1.BlockName(cidr), "is gone", held.Used, "the controller leases it to this node again if its IPPool selects the node and is Active; if it does not, delete"))
		}
	}
	slices.SortFunc(out.leases, func(a, b store.Lease) int { return dataplane.ComparePrefix(a.CIDR, b.CIDR) })
	slices.SortFunc(out.announce, dataplane.ComparePrefix)
	slices.SortFunc(out.serving, dataplane.ComparePrefix)
	slices.SortFunc(problems, func(a, b Problem) int { return strings.Compare(a.String(), b.String()) })
	slices.Sort(out.released)
	return out, problems
}

// add plans one block by its state. The order in which a Draining block ends:
// closed in the store, seen empty while closed, withdrawn, unprogrammed,
// dropped from the store, reported released.
func (o *blocks) add(b v1alpha1.IPBlock, lease store.Lease, held Lease, stored bool) {
	switch {
	case b.Spec.State == v1alpha1.BlockCooling:
		// Soon another node's: not announced and not blackholed, so that a
		// route to its next holder works from here too.
		if held.Used > 0 {
			o.leases = append(o.leases, lease)
		}
		return
	case b.Spec.State == v1alpha1.BlockDraining && (!stored || held.Closed && held.Used == 0):
		o.released = append(o.released, string(b.UID))
		return
	}
	o.leases = append(o.leases, lease)
	if lease.IPAMOnly {
		// Its addresses are on networks of others. A blackhole would end what
		// this node has of them, an announcement what others have.
		return
	}
	o.ours = append(o.ours, lease.CIDR)
	o.routes = append(o.routes, dataplane.Route{Prefix: lease.CIDR, Kind: dataplane.Blackhole, Beside: b.Spec.Adopted})
	o.announce = append(o.announce, lease.CIDR)
	if lease.Announced && held.Used > 0 {
		o.serving = append(o.serving, lease.CIDR)
	}
}

// reservedIn returns the pool's reserved ranges that touch the block, sorted.
// Malformed ones are the controller's to report on the pool.
func reservedIn(pool v1alpha1.IPPool, block netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, r := range pool.Spec.Reserved {
		if p, err := netip.ParsePrefix(r); err == nil && p.Overlaps(block) {
			out = append(out, p.Masked())
		}
	}
	slices.SortFunc(out, dataplane.ComparePrefix)
	return slices.Compact(out)
}

func lost(object, what string, used int64, remedy string) Problem {
	return Problem{Object: object, Message: fmt.Sprintf(
		"%s, but %d addresses of it are in use on this node and no longer reachable from others: %s these pods, they will get new addresses", what, used, remedy)}
}
