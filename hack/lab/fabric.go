package lab

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"fairlead.dev/hack/lab/topology"
)

// WaitFabric waits until all sessions between ToRs and spines are established and
// every router knows the other racks' subnets by every way there is.
func (l *Lab) WaitFabric(ctx context.Context) error {
	topo := l.Topology()
	return poll(ctx, fabricBound, pollInterval, "fabric of ToRs and spines", func(ctx context.Context) error {
		if err := l.processes.dead(); err != nil {
			return permanent{err}
		}
		return each(ctx, l.Routers(), func(ctx context.Context, r *Router) error {
			if err := r.hasFabric(ctx, topo); err != nil {
				return err
			}
			return r.hasRacks(ctx, topo)
		})
	})
}

func (r *Router) hasFabric(ctx context.Context, topo topology.Topology) error {
	sessions, err := r.Sessions(ctx)
	if err != nil {
		return err
	}
	up := map[netip.Addr]bool{}
	for _, s := range sessions {
		up[s.Neighbour] = s.State == Established
	}
	for _, link := range topo.Links() {
		for _, f := range topo.Families() {
			far, name := link.SpineEnd.Of(f).Addr(), link.Spine.Name
			if r.Name == name {
				far, name = link.ToREnd.Of(f).Addr(), link.ToR.Name
			} else if r.Name != link.ToR.Name {
				continue
			}
			if !up[far] {
				return fmt.Errorf("%s: %s session with %s is not established", r.Name, f, name)
			}
		}
	}
	return nil
}

func (r *Router) hasRacks(ctx context.Context, topo topology.Topology) error {
	for _, f := range topo.Families() {
		routes, err := r.Routes(ctx, f)
		if err != nil {
			return err
		}
		for _, rack := range topo.Racks {
			if slices.ContainsFunc(rack.ToRs, func(tor topology.Router) bool { return tor.Name == r.Name }) {
				continue // its own segment
			}
			want := len(topo.Spines)
			if slices.ContainsFunc(topo.Spines, func(s topology.Router) bool { return s.Name == r.Name }) {
				want = len(rack.ToRs)
			}
			i := slices.IndexFunc(routes, func(route RIBRoute) bool { return route.Prefix == rack.Subnet.Of(f) })
			if i < 0 || len(routes[i].NextHops()) < want {
				return fmt.Errorf("%s does not know %s of %s by %d next hops", r.Name, rack.Subnet.Of(f), rack.Name, want)
			}
		}
		if err := r.hasOutside(topo, f, routes); err != nil {
			return err
		}
	}
	return nil
}

// hasOutside is about ToRs: spines are in the segment.
func (r *Router) hasOutside(topo topology.Topology, f topology.Family, routes []RIBRoute) error {
	outside := topo.Outside.Of(f)
	if !outside.IsValid() || slices.ContainsFunc(topo.Spines, func(s topology.Router) bool { return s.Name == r.Name }) {
		return nil
	}
	i := slices.IndexFunc(routes, func(route RIBRoute) bool { return route.Prefix == outside })
	if i < 0 || len(routes[i].NextHops()) < len(topo.Spines) {
		return fmt.Errorf("%s does not know %s, the outside, by %d next hops", r.Name, outside, len(topo.Spines))
	}
	return nil
}
