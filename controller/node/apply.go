package node

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"fairlead.dev/bgp"
	"fairlead.dev/cniplugin/store"
	"fairlead.dev/controller/plan"
	"fairlead.dev/dataplane"
)

// applied is what a plan led to.
type applied struct {
	routes dataplane.Result
	// leases are the address store's now, nil if it could not be written.
	leases map[netip.Prefix]plan.Lease
	// announced is what the speaker was told to announce.
	announced []netip.Prefix
	// released are the UIDs of blocks of which the node holds nothing now.
	released []string
	// vtep says that other nodes may send to the overlay device.
	vtep bool
	// peerErr is about single peers, err about everything else.
	err, peerErr error
}

// apply makes the plan true: lease, program, read back, advertise; withdraw,
// then unprogram. A failed step does not stop those that do not need it.
func (a *Agent) apply(ctx context.Context, p plan.Plan, device dataplane.OverlayResult, prune bool) applied {
	out := applied{vtep: device.Up && p.Overlay.Wanted}
	storeErr := a.ports.Store.Update(func(s *store.State) error {
		s.SetLeases(p.Leases)
		err := a.holdOverlay(s, p)
		out.leases = leases(*s, plan.Intent{})
		return err
	})
	if storeErr != nil {
		out.leases = nil
		storeErr = fmt.Errorf("write leases to the address store: %w", storeErr)
	}

	routes, routeErr := a.ports.Routes.Apply(p.Routes, false)
	out.routes = routes
	if routeErr != nil {
		out.err = errors.Join(storeErr, fmt.Errorf("program routes: %w", routeErr))
		return out
	}

	config := p.Announceable(routes, a.served(p.Unheld(routes)))
	storeErr = errors.Join(storeErr, a.note(p.Leases, config.Announce))
	speakErr := a.speak(ctx, config)
	if bgp.OnlyPeers(speakErr) {
		a.engine, out.announced = p.BGP.Global, config.Announce
		speakErr, out.peerErr = nil, speakErr
	} else {
		speakErr = fmt.Errorf("configure BGP: %w", speakErr)
	}

	var pruneErr error
	if speakErr == nil && prune && len(routes.Surplus) > 0 {
		out.routes, pruneErr = a.ports.Routes.Apply(p.Routes, true)
		if pruneErr != nil {
			pruneErr = fmt.Errorf("remove routes: %w", pruneErr)
		}
	}
	out.err = errors.Join(storeErr, speakErr, pruneErr)
	if out.err == nil && prune && len(out.routes.Surplus) == 0 {
		out.err = a.finishOverlay(p, device.Surplus)
	}
	if out.err == nil && len(out.routes.Surplus) == 0 {
		out.released = p.Released
	}
	return out
}

// mayPrune says whether routes may be deleted: once every peer wanted has sent
// End-of-RIB or had its time to (RFC 4724 section 4.1). Until then a route that
// is missing from the RIB may only not have been sent yet.
func (a *Agent) mayPrune(peers []bgp.Peer, sessions []bgp.Session) bool {
	if a.ribComplete {
		return true
	}
	heard := map[netip.Addr]bool{}
	for _, s := range sessions {
		heard[s.Address] = s.EndOfRIB
	}
	all := !slices.ContainsFunc(peers, func(p bgp.Peer) bool { return !heard[p.Address] })
	late := time.Now().After(a.deadline)
	a.ribComplete = all || late
	if a.ribComplete {
		a.opts.Logger.Info("learned routes are complete", "everyPeer", all)
	}
	return a.ribComplete
}
