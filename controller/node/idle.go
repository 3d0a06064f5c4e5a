package node

import (
	"net/netip"
	"time"

	"fairlead.dev/controller/plan"
)

// idleTime is how long a block must have been empty before the node gives it
// back. A rollout, a drained node's return or the pause between two runs of a job
// are shorter; the pool misses one block for no longer than that.
const idleTime = 10 * time.Minute

// idle remembers since when each block has been empty. An agent that starts
// begins to count anew: it does not know what was before.
type idle map[netip.Prefix]emptySince

type emptySince struct {
	uid   string
	since time.Time
}

// mark notes which blocks are empty now, and marks those idle that have been for
// long.
func (i idle) mark(leases map[netip.Prefix]plan.Lease, now time.Time) {
	for cidr := range i {
		if l, held := leases[cidr]; !held || l.Used > 0 || l.UID != i[cidr].uid {
			delete(i, cidr)
		}
	}
	for cidr, l := range leases {
		if l.Used > 0 {
			continue
		}
		e, known := i[cidr]
		if !known {
			e = emptySince{l.UID, now}
			i[cidr] = e
		}
		l.Idle = now.Sub(e.since) >= idleTime
		leases[cidr] = l
	}
}
