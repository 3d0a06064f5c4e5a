package cluster

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/cluster"
	"fairlead.dev/hack/lab/topology"
)

// TestMovingIn is docs/moving-in.md, step by step, on a cluster as its readers have
// it: podCIDRs are given out by kube-controller-manager and addresses by host-local,
// pods are behind bridges, and routes are static. Users ask all the while.
func TestMovingIn(t *testing.T) {
	long(t)
	topo := otherTopology()
	s := up(t, cluster.Options{Lab: lab.Options{Topology: &topo, Bin: cli(t)}, ManagerArgs: nodeIPAM(topo)})
	m := &move{scene: s}
	m.before(t)
	m.ask(t)
	m.install(t)
	for _, machine := range m.Machines() {
		m.node(t, machine)
	}
	m.restart(t)
	for _, machine := range m.Machines() {
		m.after(t, machine)
	}
	m.unroute(t)
	m.problems(t, nil)
	m.use.stop(t, "the end")
	m.eachAddressOnce(t)
	if err := m.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// otherTopology is a rack of two nodes, with a ToR of each kind, and pools that are
// the ranges of a kube-controller-manager.
func otherTopology() topology.Topology {
	topo := topology.Default()
	topo.Racks, topo.Spines = topo.Racks[:1], topo.Spines[:1]
	topo.Pools = []topology.Pool{
		{Name: "pods-v4", CIDR: netip.MustParsePrefix("10.244.0.0/16"), BlockSize: 24},
		{Name: "pods-v6", CIDR: netip.MustParsePrefix("fd00:10:244::/48"), BlockSize: 64},
	}
	return topo
}

// nodeIPAM has kube-controller-manager give each Node a range of each pool.
func nodeIPAM(topo topology.Topology) []string {
	args := []string{"--allocate-node-cidrs"}
	var ranges []string
	for _, p := range topo.Pools {
		ranges = append(ranges, p.CIDR.String())
		args = append(args, fmt.Sprintf("--node-cidr-mask-size-%s=%d", topology.FamilyOf(p.CIDR.Addr()), p.BlockSize))
	}
	return append(args, "--cluster-cidr="+strings.Join(ranges, ","))
}
