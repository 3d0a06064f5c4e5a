package node

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"fairlead.dev/cniplugin/store"
	"fairlead.dev/controller/plan"
	"fairlead.dev/dataplane"
)

// overlayLinger is how long the VXLAN device stays when nothing wants it any
// more: until then every other node has heard of it, and sends in another way.
const overlayLinger = 5 * time.Minute

// overlay is what the agent remembers of the device.
type overlay struct {
	// found are the addresses that the kernel has on it.
	found []netip.Addr
	// held are those in the address store.
	held []netip.Addr
	// until is when it may go unless it is wanted. An agent that starts begins to
	// count anew.
	until time.Time
	// up is whether other nodes could send to it at the last sync.
	up bool
}

// observeOverlay reads the device and what it depends on.
func (a *Agent) observeOverlay(state store.State) (plan.Overlay, error) {
	found, there, err := a.ports.Overlay.Find()
	if err != nil {
		return plan.Overlay{}, err
	}
	mtu, err := a.ports.Links.UplinkMTU()
	if err != nil {
		return plan.Overlay{}, fmt.Errorf("read the uplinks' MTU: %w", err)
	}
	now := time.Now()
	if a.overlay.until.IsZero() {
		a.overlay.until = now.Add(overlayLinger)
	}
	a.overlay.found, a.overlay.held = found, state.Overlay()
	return plan.Overlay{
		VXLAN: a.opts.VXLAN, UplinkMTU: mtu, Held: a.overlay.held, Lingers: there && now.Before(a.overlay.until),
	}, nil
}

// compute makes the plan, and the device that its routes need. If that cannot be
// had, the plan is made again without what needs it.
func (a *Agent) compute(s plan.Snapshot) (plan.Plan, []plan.Problem, dataplane.OverlayResult, error) {
	p, problems := plan.Compute(s)
	if p.Overlay.Wanted {
		a.overlay.until = time.Now().Add(overlayLinger)
	}
	result, err := a.applyOverlay(p, false)
	if result.Up != a.overlay.up {
		a.overlay.up = result.Up
		a.opts.Logger.Info("overlay device changed", "up", result.Up, "vni", a.opts.VXLAN.VNI, "port", a.opts.VXLAN.Port)
	}
	if err != nil && !result.Up && p.Overlay.Wanted {
		s.Overlay.Broken = true
		p, problems = plan.Compute(s)
	}
	return p, problems, result, err
}

func (a *Agent) applyOverlay(p plan.Plan, prune bool) (dataplane.OverlayResult, error) {
	if p.Overlay.Wanted && p.Overlay.Want == nil {
		return dataplane.OverlayResult{}, nil
	}
	result, err := a.ports.Overlay.Apply(p.Overlay.Want, prune)
	if err != nil {
		return result, fmt.Errorf("program the overlay: %w", err)
	}
	return result, nil
}

// holdOverlay takes the node's overlay addresses, in the change that leases their
// blocks: no pod gets one in between. The plan has them from the next sync on.
func (a *Agent) holdOverlay(s *store.State, p plan.Plan) error {
	now, err := store.Now()
	if err != nil {
		return err
	}
	taken := s.HoldOverlay(p.Overlay.Blocks, a.overlay.found, now)
	a.overlay.held = s.Overlay()
	if len(taken) > 0 {
		a.Wake()
	}
	return nil
}

// finishOverlay removes what the routes, as they are now, need no more, and gives
// back the addresses that went with it.
func (a *Agent) finishOverlay(p plan.Plan, surplus bool) error {
	if surplus {
		if _, err := a.applyOverlay(p, true); err != nil {
			return err
		}
	}
	spare := a.spareAddresses(p)
	if len(spare) == 0 {
		return nil
	}
	now, err := store.Now()
	if err != nil {
		return err
	}
	var freed []store.Allocation
	err = a.ports.Store.Update(func(s *store.State) error {
		keep := slices.DeleteFunc(s.Overlay(), func(x netip.Addr) bool { return slices.Contains(spare, x) })
		freed = s.ReleaseOverlay(keep, now)
		return nil
	})
	if err != nil {
		return fmt.Errorf("give back the overlay's addresses: %w", err)
	}
	for _, x := range freed {
		a.opts.Logger.Info("overlay address given back", "address", x.Address)
	}
	a.Wake() // its block may go now
	return nil
}

// spareAddresses are those held that are neither on the device nor about to be.
func (a *Agent) spareAddresses(p plan.Plan) []netip.Addr {
	var on []netip.Addr
	switch {
	case p.Overlay.Want != nil:
		on = p.Overlay.Want.Addresses
	case p.Overlay.Wanted:
		return nil // the device is left as it is
	}
	return slices.DeleteFunc(slices.Clone(a.overlay.held), func(x netip.Addr) bool {
		return slices.Contains(on, x) || slices.ContainsFunc(p.Overlay.Blocks, func(b netip.Prefix) bool { return b.Contains(x) })
	})
}
