package plan

import (
	"cmp"
	"net/netip"
	"slices"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/controller/ipam"
	"fairlead.dev/dataplane"
)

// reserve is the most addresses that a node keeps free, against pods that start
// while it waits for another block. That takes about two seconds: a report (at
// most one a second), the controller's pass, the watch, the store. A kubelet
// starts fewer than sixteen pods in that time.
//
// A node that uses less keeps less: as many free as in use, but one. So an idle
// node asks for nothing, however small its block, and blocks of one address
// are asked for ahead too.
const reserve = 16

// returnFactor is how many times the reserve must stay free for a block to go
// back. Between once and this often nothing changes, so that pods which come and
// go do not take blocks with them.
const returnFactor = 2

// MostRoom bounds what one block counts for, so that sums of the largest do not
// overflow. No node comes near to it.
const MostRoom = 1 << 40

// Want is how many blocks the node needs of one pool.
type Want struct {
	Pool, PoolUID string
	// Has counts the node's Leased blocks of the pool; Count those that it needs:
	// more when addresses run low, fewer when one goes back.
	Has, Count int
	// Max is the pool's maxBlocksPerNode.
	Max      int
	IPAMOnly bool
	// Adopted pools have one block for a node, its podCIDR.
	Adopted bool `json:",omitempty"`
	// Is4 is the pool's address family.
	Is4 bool
}

// member is a Leased block in the light of its use.
type member struct {
	cidr           netip.Prefix
	capacity, used int64
	closed, idle   bool
}

func (m member) free() int64 { return max(0, m.capacity-m.used) }

// planGrowth says how many blocks the node needs, and which it can do without:
// these are closed first and taken back then, when no address can be given out
// of them any more. Of each pool one block stays. Each pool is looked at by itself,
// also where another of its family has room: a network may name the pools that its
// pods take from.
func planGrowth(s Snapshot, pools map[string]v1alpha1.IPPool) ([]Want, map[netip.Prefix]bool) {
	wants := map[string]*Want{}
	members := map[string][]member{} // by pool
	for _, b := range s.Intent.Blocks {
		cidr, bad := parsePrefix("", "", b.Spec.CIDR)
		if bad != nil || b.Spec.State != v1alpha1.BlockLeased {
			continue
		}
		pool := pools[b.Spec.PoolUID]
		w := wants[b.Spec.PoolUID]
		if w == nil {
			w = &Want{
				Pool: b.Spec.PoolName, PoolUID: b.Spec.PoolUID, Max: pool.Spec.EffectiveMaxBlocksPerNode(),
				IPAMOnly: b.Spec.IPAMOnly, Adopted: b.Spec.Adopted, Is4: cidr.Addr().Is4(),
			}
			wants[b.Spec.PoolUID] = w
		}
		w.Has, w.Count = w.Has+1, w.Count+1
		members[w.PoolUID] = append(members[w.PoolUID], weigh(cidr, b, s.Leases[cidr], pool))
	}
	surplus := map[netip.Prefix]bool{}
	out := make([]Want, 0, len(wants))
	for uid, w := range wants {
		if leasesHere(pools[uid], s.Intent.Node) {
			balance(w, members[uid], surplus)
		}
		out = append(out, *w)
	}
	slices.SortFunc(out, func(a, b Want) int { return cmp.Or(cmp.Compare(a.Pool, b.Pool), cmp.Compare(a.PoolUID, b.PoolUID)) })
	return out, surplus
}

// balance compares what a pool's blocks have free with what the node needs.
func balance(w *Want, members []member, surplus map[netip.Prefix]bool) {
	var free, used int64
	for _, m := range members {
		free, used = free+m.free(), used+m.used
	}
	low := max(1, min(reserve, used))
	// From the highest: addresses are given out from the lowest.
	slices.SortFunc(members, func(a, b member) int { return dataplane.ComparePrefix(b.cidr, a.cidr) })
	for _, m := range members {
		least := returnFactor * low
		if m.closed {
			least = low // on its way already
		}
		if m.used == 0 && (m.idle || m.closed) && w.Count > 1 && free-m.free() >= least {
			surplus[m.cidr] = true
			w.Count--
			free -= m.free()
		}
	}
	if free < low {
		size := max(1, room(members[0].cidr, nil))
		w.Count += int((low - free + size - 1) / size)
	}
}

// planAwaited names the pools of which the node is to have its first block of a
// family for pods: one that started before it came would lack that family for
// as long as it lives.
func planAwaited(in Intent, pools map[string]v1alpha1.IPPool) []string {
	held := map[bool]bool{} // by whether it is IPv4
	for _, b := range in.Blocks {
		if cidr, bad := parsePrefix("", "", b.Spec.CIDR); bad == nil && b.Spec.State == v1alpha1.BlockLeased && !b.Spec.IPAMOnly {
			held[cidr.Addr().Is4()] = true
		}
	}
	var names []string
	// A pool without a range in the AddressPlan leases nothing, and is waited for by nobody.
	for _, r := range in.Ranges {
		cidr, bad := parsePrefix("", "", r.CIDR)
		if bad == nil && !r.IPAMOnly && !held[cidr.Addr().Is4()] && leasesHere(pools[r.PoolUID], in.Node) {
			names = append(names, r.PoolName)
		}
	}
	slices.Sort(names)
	return names
}

// leasesHere says whether the pool gives this node blocks at all.
func leasesHere(p v1alpha1.IPPool, node v1alpha1.BGPNode) bool {
	selected, err := Selects(p.Spec.NodeSelector, node.Labels)
	return p.UID != "" && p.Spec.EffectiveState() == v1alpha1.PoolActive && err == nil && selected
}

// weigh takes a block's room from the store. One that is not there yet counts
// with all that it will have: it is asked for no more.
func weigh(cidr netip.Prefix, b v1alpha1.IPBlock, held Lease, pool v1alpha1.IPPool) member {
	m := member{cidr: cidr, capacity: min(held.Capacity, MostRoom), used: held.Used}
	if held.UID == string(b.UID) { // else it was another lease that was closed, or idle
		m.closed, m.idle = held.Closed, held.Idle
	}
	if m.capacity == 0 {
		m.capacity = room(cidr, reservedIn(pool, cidr))
	}
	return m
}

// room counts a block's addresses without those reserved.
func room(block netip.Prefix, reserved []netip.Prefix) int64 {
	p, err := ipam.NewPool(block, block.Bits(), reserved...)
	if err != nil {
		return 0 // an IPv4 block written as IPv6, around the API's rules
	}
	return min(p.Addresses(block), MostRoom)
}
