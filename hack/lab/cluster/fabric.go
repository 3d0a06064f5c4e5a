package cluster

import (
	"net/netip"
	"slices"

	"fairlead.dev/hack/lab/topology"
)

// withFabric connects the control plane with the racks, by the segment behind the
// spines: the API server calls kubelets and pods, and both answer.
func withFabric(t topology.Topology) topology.Topology {
	outside := topology.Pair{V4: netip.MustParsePrefix("172.31.0.0/24"), V6: netip.MustParsePrefix("fd00:172:31::/64")}
	families := t.Families()
	if !slices.Contains(families, topology.V4) {
		outside.V4 = netip.Prefix{}
		// An API server has Services of its own address's family first.
		t.Management = netip.MustParsePrefix("fd00:192:168:200::/64")
	}
	if !slices.Contains(families, topology.V6) {
		outside.V6 = netip.Prefix{}
	}
	if t.Outside == (topology.Pair{}) {
		t.Outside = outside
	}
	return t
}
