package main

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"fairlead.dev/api/v1alpha1"
)

// A block that moves in is closed and not given back, and an IPv6 podCIDR has more
// addresses than anybody wants to read.
func TestAdoptedBlocks(t *testing.T) {
	f := facts{
		blocks: []v1alpha1.IPBlock{
			{Spec: v1alpha1.IPBlockSpec{CIDR: "10.244.7.0/24", NodeName: "n1", PoolName: "four", State: v1alpha1.BlockLeased, Adopted: true}},
			{Spec: v1alpha1.IPBlockSpec{CIDR: "fd00:7::/64", NodeName: "n1", PoolName: "six", State: v1alpha1.BlockLeased, Adopted: true}},
			{Spec: v1alpha1.IPBlockSpec{CIDR: "10.245.0.0/26", NodeName: "n1", PoolName: "more", State: v1alpha1.BlockLeased}},
		},
		nodes: []node{{name: "n1", report: &v1alpha1.NodeStateStatus{Blocks: []v1alpha1.BlockStatus{
			{CIDR: "10.244.7.0/24", UID: "four", Capacity: 256, Used: 5, Foreign: 5, Closed: true, Programmed: true},
			{CIDR: "fd00:7::/64", UID: "six", Capacity: 1<<63 - 1, Used: 2, Programmed: true},
			{CIDR: "10.245.0.0/26", UID: "more", Capacity: 64, Closed: true, Programmed: true},
		}}}},
	}
	for i := range f.blocks {
		f.blocks[i].UID = []types.UID{"four", "six", "more"}[i]
	}
	var out strings.Builder
	if err := blockTable(blockRows(f)).write(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"10.244.7.0/24  four  Leased  5/256   yes         no          5 addresses are another network's; moves in",
		"fd00:7::/64    six   Leased  2/many  yes ",
		"10.245.0.0/26  more  Leased  0/64    yes         no          is given back",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("lacks %q:\n%s", want, out.String())
		}
	}
	if row := (node{name: "n1", report: f.nodes[0].report}).row(); row.Report.AddressCapacity < 256 {
		t.Errorf("capacity %d: the sum has overflowed", row.Report.AddressCapacity)
	}
}
