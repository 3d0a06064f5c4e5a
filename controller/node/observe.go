package node

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"fairlead.dev/bgp"
	"fairlead.dev/cniplugin/store"
	"fairlead.dev/controller/plan"
)

// observe reads the node and puts it beside the Intent. With a ribErr the RIB
// is not to be believed to be all that there is.
func (a *Agent) observe(in plan.Intent) (s plan.Snapshot, ribErr, err error) {
	local, err := a.ports.Links.Addresses()
	if err != nil {
		return s, nil, fmt.Errorf("list the node's addresses: %w", err)
	}
	if err := a.releaseLeaks(); err != nil {
		return s, nil, err
	}
	state, err := a.ports.Store.Read()
	if err != nil {
		return s, nil, fmt.Errorf("read the address store: %w", err)
	}
	held := leases(state, in)
	a.idle.mark(held, time.Now())
	rib, ribErr := a.ports.Speaker.Routes()
	switch {
	case errors.Is(ribErr, bgp.ErrNotStarted):
		a.engine, ribErr = bgp.Global{}, nil
	case ribErr != nil:
		ribErr = fmt.Errorf("read the RIB: %w", ribErr)
	}
	overlay, err := a.observeOverlay(state)
	if err != nil {
		return s, nil, err
	}
	return plan.Snapshot{
		Intent:     in,
		Overlay:    overlay,
		Local:      local,
		APIServer:  a.opts.APIServer,
		RIB:        rib,
		Leases:     held,
		Restarting: a.restarting,
	}, ribErr, nil
}

// releaseLeaks frees the addresses of pods that are gone: of those that we wired
// when the host end of their link is, which lives exactly as long as the pod's
// namespace, and of attachments of other plugins when their namespace is.
func (a *Agent) releaseLeaks() error {
	asOf, err := store.Now()
	if err != nil {
		return err
	}
	live, err := a.ports.Links.Pods()
	if err != nil {
		return fmt.Errorf("list the pods' links: %w", err)
	}
	before, err := a.ports.Store.Read()
	if err != nil {
		return fmt.Errorf("read the address store: %w", err)
	}
	namespaces := store.Look(before.NamespacePaths())
	var leaked []store.Allocation
	err = a.ports.Store.Update(func(s *store.State) error {
		leaked = append(s.ReleaseLeaks(live, asOf, store.LeakGrace), s.ReleaseGone(namespaces, asOf)...)
		return nil
	})
	if err != nil {
		return fmt.Errorf("free leaked addresses: %w", err)
	}
	for _, l := range leaked {
		a.opts.Logger.Info("address freed, its pod is gone", "address", l.Address, "pod", l.Namespace+"/"+l.Pod)
	}
	return nil
}

// leases sums the store up by block. A block that the store holds addresses of
// is in it even if its lease is not: a store rebuilt from the kernel knows the
// addresses before it knows the leases.
func leases(state store.State, in plan.Intent) map[netip.Prefix]plan.Lease {
	out := map[netip.Prefix]plan.Lease{}
	for _, l := range state.Leases {
		capacity, used := state.Usage(l.CIDR)
		out[l.CIDR] = plan.Lease{UID: l.UID, Closed: l.Closed, IPAMOnly: l.IPAMOnly, Announced: l.Announced, Capacity: capacity, Used: used, Foreign: state.Foreign(l.CIDR)}
	}
	for _, b := range in.Blocks {
		cidr, err := netip.ParsePrefix(b.Spec.CIDR)
		if _, stored := out[cidr]; err != nil || stored {
			continue
		}
		if _, used := state.Usage(cidr); used > 0 {
			out[cidr] = plan.Lease{UID: string(b.UID), IPAMOnly: b.Spec.IPAMOnly, Used: used}
		}
	}
	return out
}
