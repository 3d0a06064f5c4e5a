package node

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/cniplugin/install"
	"fairlead.dev/cniplugin/store"
	"fairlead.dev/controller/plan"
	"fairlead.dev/dataplane"
)

const (
	// settle is how long after ours has become the runtime's first configuration an
	// ADD of the one before may still be under way, with an address that nothing shows
	// yet. It takes a tenth of a second as a rule.
	settle = 30 * time.Second
	// lookInterval is how often the node is searched for addresses of other networks
	// while there may be such, or some may become free.
	lookInterval = 5 * time.Second
)

// moveIn is about blocks that another network of the node has given addresses of, and
// may go on to: those of pools with source NodeSpec. Two networks must never give out
// of one block at a time. So such a block is shut, and gives nothing out, until the
// runtime has taken no other configuration for long enough and the node was searched
// after that.
type moveIn struct {
	// first says that ours is the runtime's first configuration, as far as is known;
	// since when the folder has last changed.
	known, first bool
	since        time.Time
	looked       time.Time // when the node was searched last
	shut         []netip.Prefix
	// next is when to look again, zero for never.
	next time.Time
}

// note takes in what the runtime's folder holds, and says whether that calls for
// another sync at once.
func (m *moveIn) note(f install.Found, err error, now time.Time) bool {
	was := *m
	m.known, m.first, m.since = err == nil, f.Installed && len(f.Rivals) == 0, f.Touched
	at, sure := m.settled(now)
	return !m.next.IsZero() && (was.known != m.known || was.first != m.first) || len(m.shut) > 0 && sure && !now.Before(at)
}

// wait is until the next look, if that comes before.
func (m *moveIn) wait(next time.Duration) time.Duration {
	if m.next.IsZero() {
		return next
	}
	return min(next, max(time.Until(m.next), 0)+time.Millisecond)
}

// settled is when ADDs of other networks are over, and false while that is not in sight.
func (m *moveIn) settled(now time.Time) (time.Time, bool) {
	at := m.since.Add(settle)
	if m.since.After(now.Add(time.Minute)) {
		at = now // a clock that was put back: it is from long ago
	}
	return at, m.known && m.first
}

// opens says whether a block may give addresses out. One that does stays so until
// another configuration comes before ours: an agent that starts has not yet looked.
func (m *moveIn) opens(open bool, now time.Time) bool {
	at, sure := m.settled(now)
	switch {
	case open:
		return !m.known || m.first
	default:
		return sure && !now.Before(at)
	}
}

// moveIn searches the node for addresses of adopted blocks that are not ours, before
// such a block comes into the store, before it opens, and at intervals. Without a
// search a block that is shut stays so.
func (a *Agent) moveIn(in plan.Intent, now time.Time) error {
	m := &a.moving
	blocks := adopted(in)
	m.shut, m.next = nil, time.Time{}
	if len(blocks) == 0 {
		return nil
	}
	state, err := a.ports.Store.Read()
	if err != nil {
		m.shut = prefixes(blocks)
		return fmt.Errorf("read the address store: %w", err)
	}
	var opening []netip.Prefix
	var foreign int64
	for cidr, b := range blocks {
		stored := slices.IndexFunc(state.Leases, func(l store.Lease) bool { return l.CIDR == cidr && l.UID == b.uid })
		open := stored >= 0 && !state.Leases[stored].Closed
		foreign += state.Foreign(cidr)
		switch {
		case !b.leased: // it is on its way back, and closed for good
		case !m.opens(open, now):
			m.shut = append(m.shut, cidr)
		case !open:
			opening = append(opening, cidr)
		}
	}
	slices.SortFunc(m.shut, dataplane.ComparePrefix)
	pause := a.opts.ResyncInterval
	if foreign > 0 || len(m.shut) > 0 || now.Sub(m.since).Abs() < store.LeakGrace {
		pause = lookInterval
	}
	if len(opening) > 0 || now.Sub(m.looked) >= pause {
		if err := a.search(state, prefixes(blocks)); err != nil {
			m.shut = append(m.shut, opening...)
			slices.SortFunc(m.shut, dataplane.ComparePrefix)
			m.next = now.Add(lookInterval)
			return fmt.Errorf("find out which addresses of the node's podCIDR are in use: %w", err)
		}
		m.looked = now
	}
	m.next = m.looked.Add(pause)
	if at, sure := m.settled(now); sure && len(m.shut) > 0 && at.Before(m.next) {
		m.next = at
	}
	return nil
}

// search holds in the store what others use. before is the store from before it
// began: what one of our pods had then may still be seen, and is nobody else's.
func (a *Agent) search(before store.State, blocks []netip.Prefix) error {
	if a.opts.InUse == nil {
		return nil
	}
	now, err := store.Now()
	if err != nil {
		return err
	}
	found, err := a.opts.InUse(blocks)
	if err != nil {
		return err
	}
	found = slices.DeleteFunc(found, func(addr netip.Addr) bool {
		return slices.ContainsFunc(before.Allocations, func(held store.Allocation) bool {
			return held.Address == addr && held.Kind != store.KindForeign
		})
	})
	var taken, freed []store.Allocation
	err = a.ports.Store.Update(func(s *store.State) error {
		taken, freed = s.SetForeign(found, blocks, now)
		return nil
	})
	if err != nil {
		return err
	}
	for _, x := range taken {
		a.opts.Logger.Info("address is in use by another network, no pod gets it", "address", x.Address)
	}
	for _, x := range freed {
		a.opts.Logger.Info("address is in use by another network no more", "address", x.Address)
	}
	return nil
}

// adoptedBlock is one whose addresses other networks may use.
type adoptedBlock struct {
	uid    string
	leased bool
}

// adopted are the node's adopted blocks that are not given back.
func adopted(in plan.Intent) map[netip.Prefix]adoptedBlock {
	out := map[netip.Prefix]adoptedBlock{}
	for _, b := range in.Blocks {
		cidr, err := netip.ParsePrefix(b.Spec.CIDR)
		if err == nil && b.Spec.Adopted && b.Spec.State != v1alpha1.BlockCooling {
			out[cidr] = adoptedBlock{string(b.UID), b.Spec.State == v1alpha1.BlockLeased}
		}
	}
	return out
}

func prefixes(of map[netip.Prefix]adoptedBlock) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(of))
	for p := range of {
		out = append(out, p)
	}
	return out
}
