package cluster

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"fairlead.dev/api/v1alpha1"
)

// A range with addresses of nodes is claimed by no pool; one that was claimed before
// the node came goes on without the block that the node is in, and says so.
func TestPoolsBesideNodes(t *testing.T) {
	nodes := []corev1.Node{*newNode("n", 0, nil, "10.0.0.70", "fd00::1")}
	reserving := func(cidr string, reserved ...string) *v1alpha1.IPPool {
		p := newPool("p", cidr, 26)
		p.Spec.Reserved = reserved
		return p
	}
	forIPAM := func(p *v1alpha1.IPPool) *v1alpha1.IPPool {
		p.Spec.Advertise = new(false)
		return p
	}
	adopting := newPool("p", "10.0.0.0/16", 24)
	adopting.Spec.Source = v1alpha1.SourceNodeSpec
	for _, x := range []struct {
		name    string
		pool    *v1alpha1.IPPool
		refused string
	}{
		{name: "elsewhere", pool: newPool("p", "10.1.0.0/16", 26)},
		{name: "around a node", pool: newPool("p", "10.0.0.0/16", 26), refused: "spec.cidr 10.0.0.0/16 holds 10.0.0.70, an address of Node/n"},
		{name: "around Services", pool: newPool("p", "10.96.0.0/16", 26), refused: "spec.cidr 10.96.0.0/16 holds 10.96.0.1, an address of Service/kubernetes"},
		{name: "of IPv6", pool: newPool("p", "fd00::/64", 122), refused: "holds fd00::1, an address of Node/n"},
		{name: "with the nodes' network reserved", pool: reserving("10.0.0.0/16", "10.0.0.0/24")},
		{name: "with the node's block reserved", pool: reserving("10.0.0.0/16", "10.0.0.64/26")},
		{name: "with the address alone reserved: the block would be routed", pool: reserving("10.0.0.0/16", "10.0.0.70/32"), refused: "holds 10.0.0.70"},
		{name: "on the nodes' own network", pool: forIPAM(reserving("10.0.0.0/24", "10.0.0.70/32"))},
		{name: "on the nodes' own network, theirs too", pool: forIPAM(reserving("10.0.0.0/24")), refused: "holds 10.0.0.70"},
		{name: "of podCIDRs", pool: adopting},
	} {
		t.Run(x.name, func(t *testing.T) {
			s := &State{Pools: []v1alpha1.IPPool{*x.pool}, Nodes: nodes, Services: []string{"10.96.0.1"}}
			got := decideClaims(readPools(s), nil, nil).refused["uid-p"]
			if (got != nil) != (x.refused != "") || got != nil && (got.reason != reasonOverlap || !strings.Contains(got.message, x.refused)) {
				t.Errorf("refused %+v, want %q", got, x.refused)
			}
		})
	}

	held := newPool("p", "10.0.0.0/24", 26)
	s := &State{
		Pools: []v1alpha1.IPPool{*held}, Nodes: nodes, Blocks: []v1alpha1.IPBlock{block("10.0.0.0/26", "p", "m", v1alpha1.BlockLeased)},
		Plan: &v1alpha1.AddressPlan{Spec: v1alpha1.AddressPlanSpec{Entries: []v1alpha1.AddressPlanEntry{entry("p", "10.0.0.0/24", 26)}}},
	}
	if next, _ := readPools(s)[0].space(s.Blocks).Next(); next.String() != "10.0.0.128/26" {
		t.Errorf("leases %s next, want the block behind the node's", next)
	}
	conditions := decidePools(s)["p"].Conditions
	if !meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionReady) {
		t.Error("one node's address ends the leasing of a pool that was there before")
	}
	if c := meta.FindStatusCondition(conditions, v1alpha1.ConditionOverlap); c.Status != "True" || !strings.Contains(c.Message, "holds 10.0.0.70, an address of Node/n") {
		t.Errorf("Overlap is %+v", c)
	}
}
