package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/cluster"
	"fairlead.dev/hack/lab/topology"
)

// ways are the hops of the static routes to a machine's podCIDR: on the spines by way
// of the ToRs, on the ToRs and the other nodes of the rack to the machine itself.
func (m *move) ways(machine string, f topology.Family) map[string][]string {
	ways := map[string][]string{}
	for _, l := range m.Topology().Links() {
		ways[l.Spine.Name] = append(ways[l.Spine.Name], "nexthop", "via", l.ToREnd.Of(f).Addr().String())
	}
	direct := []string{"via", m.Node(machine).Address(f).String()}
	for _, tor := range m.Topology().Racks[0].ToRs {
		ways[tor.Name] = direct
	}
	for _, n := range m.Machines() {
		if n.Name != machine {
			ways[n.Name] = direct
		}
	}
	return ways
}

// eachWay calls do with each static route.
func (m *move) eachWay(t *testing.T, do func(role string, to netip.Prefix, hops []string)) {
	t.Helper()
	for machine, cidrs := range m.cidrs {
		for _, to := range cidrs {
			for role, hops := range m.ways(machine, topology.FamilyOf(to.Addr())) {
				do(role, to, hops)
			}
		}
	}
}

func (m *move) ip(t *testing.T, role, verb string, to netip.Prefix, args ...string) {
	t.Helper()
	if _, err := m.Exec(t.Context(), role, append([]string{"ip", "route", verb, to.String()}, args...)...); err != nil {
		t.Fatal(err)
	}
}

// lastResort is the metric of a route that is worse than any other: FRR takes its
// first byte for the administrative distance.
const lastResort = "4194304000"

// unroute deletes the static routes. A router has another, worse one until BGP's is in
// its place.
func (m *move) unroute(t *testing.T) {
	t.Helper()
	m.eachWay(t, func(role string, to netip.Prefix, hops []string) {
		router := !slices.ContainsFunc(m.Machines(), func(n *cluster.Machine) bool { return n.Name == role })
		if router {
			m.ip(t, role, "add", to, append([]string{"proto", "static", "metric", lastResort}, hops...)...)
		}
		m.ip(t, role, "del", to, "proto", "boot")
		if !router {
			return
		}
		m.eventually(t, fmt.Sprintf("BGP's route to %s on %s", to, role), func(ctx context.Context) error {
			routes, err := m.KernelRoutes(ctx, role, topology.FamilyOf(to.Addr()))
			if err == nil && !slices.ContainsFunc(routes, func(r lab.KernelRoute) bool {
				return r.Prefix == to && (r.Protocol == "bgp" || r.Protocol == "bird")
			}) {
				err = fmt.Errorf("it has %+v", routes)
			}
			return err
		})
		m.ip(t, role, "del", to, "proto", "static")
	})
	m.use.well(t, "no static routes any more")
}
