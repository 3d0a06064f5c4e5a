package kube_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
)

func TestIPBlockRules(t *testing.T) {
	const v4, v6 = "10.244.1.0-26", "fd00-10-244--40-122"
	block := func(cidr, more string) string {
		return "{cidr: '" + cidr + "', poolName: p, poolUID: pu, nodeName: n1, nodeUID: u1, " + more + "}"
	}
	leased := block("10.244.1.0/26", "state: Leased")
	cooling := block("10.244.1.0/26", "state: Cooling, coolingUntil: '2026-01-01T00:00:00Z'")
	checkRules(t, "IPBlock", v4, []rule{
		{name: "IPv4", spec: leased},
		{name: "IPv6", object: v6, spec: block("fd00:10:244::40/122", "state: Leased")},
		{name: "another's name", object: "mine", spec: leased, refused: []string{"metadata.name must be spec.cidr with ':' and '/' as '-'"}},
		{name: "another block's name", object: "10.244.2.0-26", spec: leased, refused: []string{"metadata.name must be spec.cidr"}},
		{name: "host bits", object: "10.244.1.1-26", spec: block("10.244.1.1/26", "state: Leased"), refused: []string{"spec.cidr", "canonical form"}},
		{name: "not a cidr", object: "block", spec: block("block", "state: Leased"), refused: []string{"spec.cidr", "canonical form"}},
		{name: "IPv6 in long hand", object: "fd00-0--40-122", spec: block("fd00:0::40/122", "state: Leased"), refused: []string{"spec.cidr", "canonical form"}},
		{name: "leased to nobody", spec: strings.ReplaceAll(leased, "n1", "''"), refused: []string{"spec.nodeName"}},
		{name: "of no pool", spec: strings.ReplaceAll(leased, "pu", "''"), refused: []string{"spec.poolUID"}},
		{name: "unknown state", spec: block("10.244.1.0/26", "state: Free"), refused: []string{"spec.state"}},
		{name: "no state", spec: block("10.244.1.0/26", ""), refused: []string{"spec.state: Required value"}},

		{name: "draining", spec: leased, update: strings.ReplaceAll(leased, "Leased", "Draining")},
		{name: "draining no more", spec: strings.ReplaceAll(leased, "Leased", "Draining"), update: leased},
		{name: "cooling", spec: leased, update: cooling},
		{name: "cooling without end", spec: leased, update: strings.ReplaceAll(leased, "Leased", "Cooling"), refused: []string{"spec.coolingUntil", "is required when state is Cooling"}},
		{name: "leased with an end", spec: strings.ReplaceAll(cooling, "Cooling", "Leased"), refused: []string{"spec.coolingUntil", "for no other state"}},
		{name: "leased again", spec: cooling, update: leased, refused: []string{"spec.state", "a Cooling block is only deleted"}},
		{name: "draining after cooling", spec: cooling, update: strings.ReplaceAll(leased, "Leased", "Draining"), refused: []string{"a Cooling block is only deleted"}},
		{name: "stamped with the node's new UID", spec: leased, update: strings.ReplaceAll(leased, "u1", "u2")},
		{name: "moved to another node", spec: leased, update: strings.ReplaceAll(leased, "n1", "n2"), refused: []string{"spec.nodeName", "is immutable"}},
		{name: "moved to another pool", spec: leased, update: strings.ReplaceAll(leased, "poolName: p", "poolName: q"), refused: []string{"spec.poolName", "is immutable"}},
		{name: "moved to the pool's successor", spec: leased, update: strings.ReplaceAll(leased, "pu", "pv"), refused: []string{"spec.poolUID", "is immutable"}},
		{name: "for IPAM only", spec: block("10.244.1.0/26", "ipamOnly: true, state: Leased"), update: block("10.244.1.0/26", "ipamOnly: true, state: Draining")},
		{name: "for IPAM only all at once", spec: leased, update: block("10.244.1.0/26", "ipamOnly: true, state: Leased"), refused: []string{"spec.ipamOnly", "is immutable"}},
		{name: "for pods all at once", spec: block("10.244.1.0/26", "ipamOnly: true, state: Leased"), update: leased, refused: []string{"spec.ipamOnly", "is immutable"}},
		{name: "adopted", spec: block("10.244.1.0/26", "adopted: true, state: Leased"), update: block("10.244.1.0/26", "adopted: true, state: Draining")},
		{name: "adopted later", spec: leased, update: block("10.244.1.0/26", "adopted: true, state: Leased"), refused: []string{"spec.adopted", "is immutable"}},
		{name: "adopted no more", spec: block("10.244.1.0/26", "adopted: true, state: Leased"), update: leased, refused: []string{"spec.adopted", "is immutable"}},
		{name: "for IPAM only no more", spec: block("10.244.1.0/26", "ipamOnly: true, state: Leased"), update: block("10.244.1.0/26", "ipamOnly: false, state: Leased"), refused: []string{"spec.ipamOnly", "is immutable"}},
		{name: "another range", spec: leased, update: strings.ReplaceAll(leased, "1.0/26", "2.0/26"), refused: []string{"spec.cidr", "is immutable"}},
	})
}

// The name that the API package gives is the one that the API server wants,
// and so a second lease of the same block is refused.
func TestIPBlockNameIsTheLock(t *testing.T) {
	c := admin(t)
	for _, cidr := range []string{"10.9.0.64/26", "fd00:9::1:40/122", "fd00:1:2:3:4:5:6:0/112"} {
		lease := func(node string) *v1alpha1.IPBlock {
			b := &v1alpha1.IPBlock{Spec: v1alpha1.IPBlockSpec{CIDR: cidr, PoolName: "p", PoolUID: "pu", NodeName: node, NodeUID: "u", State: v1alpha1.BlockLeased}}
			b.Name = v1alpha1.BlockName(netip.MustParsePrefix(cidr))
			return b
		}
		create(t, c, lease("n1"))
		if err := c.Create(t.Context(), lease("n2")); !apierrors.IsAlreadyExists(err) {
			t.Errorf("second lease of %s: %v", cidr, err)
		}
	}
}

// Agents watch their own blocks by field selector.
func TestIPBlocksByNode(t *testing.T) {
	c := admin(t)
	for i, node := range []string{"s1", "s2", "s1"} {
		b := &v1alpha1.IPBlock{Spec: v1alpha1.IPBlockSpec{CIDR: fmt.Sprintf("10.8.%d.0/26", i), PoolName: "p", PoolUID: "pu", NodeName: node, NodeUID: "u", State: v1alpha1.BlockLeased}}
		b.Name = v1alpha1.BlockName(netip.MustParsePrefix(b.Spec.CIDR))
		create(t, c, b)
	}
	var list v1alpha1.IPBlockList
	if err := c.List(t.Context(), &list, client.MatchingFields{"spec.nodeName": "s1"}); err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 2 || list.Items[0].Name != "10.8.0.0-26" || list.Items[1].Name != "10.8.2.0-26" {
		t.Errorf("blocks of s1: %v", list.Items)
	}
}

func TestAddressPlanRules(t *testing.T) {
	entry := func(cidr string, size int) string {
		return fmt.Sprintf("{cidr: '%s', blockSize: %d, poolName: p, poolUID: u}", cidr, size)
	}
	plan := func(entries ...string) string { return "{entries: [" + strings.Join(entries, ", ") + "]}" }
	var most []string
	for i := range 256 {
		most = append(most, entry(fmt.Sprintf("10.%d.0.0/16", i), 26))
	}
	checkRules(t, "AddressPlan", v1alpha1.AddressPlanName, []rule{
		{name: "empty", spec: "{}"},
		{name: "both families", spec: plan(entry("10.244.0.0/16", 26), entry("fd00::/64", 122), entry("10.245.0.0/16", 28))},
		{name: "a second plan", object: "other", spec: "{}", refused: []string{"there is one AddressPlan, named cluster"}},
		{name: "a range twice", spec: plan(entry("10.244.0.0/16", 26), entry("10.244.0.0/16", 27)), refused: []string{"spec.entries[1]", "Duplicate value"}},
		{name: "a range inside another", spec: plan(entry("10.245.0.0/24", 26), entry("10.244.0.0/15", 27)), refused: []string{"spec.entries", "must not overlap"}},
		{name: "not a cidr", spec: plan(entry("10.244.0.0", 26)), refused: []string{"spec.entries[0].cidr", "canonical form"}},
		{name: "block larger than the range", spec: plan(entry("10.244.0.0/26", 25)), refused: []string{"spec.entries[0].blockSize", "must be a prefix length inside cidr"}},
		{name: "block of the other family", spec: plan(entry("10.244.0.0/26", 122)), refused: []string{"spec.entries[0].blockSize", "must be a prefix length inside cidr"}},
		{name: "as many as the API server compares", spec: plan(most[:128]...)},
		{name: "an overlap among as many", spec: plan(append([]string{entry("10.127.128.0/17", 26)}, most[1:128]...)...), refused: []string{"spec.entries", "must not overlap"}},
		{name: "as many as may be", spec: plan(most...)},
		{name: "too many", spec: plan(append(most, entry("11.0.0.0/16", 26))...), refused: []string{"spec.entries", "at most 256 items"}},
	})
}

func TestBGPNodeRules(t *testing.T) {
	with := func(more string) string {
		return "{nodeUID: u, asNumber: 65101, listenPort: 179, gracefulRestartSeconds: 120, " + more + "}"
	}
	checkRules(t, "BGPNode", "n1", []rule{
		{name: "dual stack", spec: with("addresses: [192.0.2.1, '2001:db8::1'], routerID: 192.0.2.1, mesh: true")},
		{name: "no address yet", spec: with("routerID: 240.1.2.3")},
		{name: "two of one family", spec: with("addresses: [192.0.2.1, 192.0.2.2], routerID: 192.0.2.1"), refused: []string{"spec.addresses", "at most one of each family"}},
		{name: "not an address", spec: with("addresses: [n1], routerID: 192.0.2.1"), refused: []string{"spec.addresses[0]", "must be an IP address in canonical form"}},
		{name: "IPv6 router ID", spec: with("routerID: '2001:db8::1'"), refused: []string{"spec.routerID", "must be written as an IPv4 address"}},
		{name: "zero router ID", spec: with("routerID: 0.0.0.0"), refused: []string{"spec.routerID", "not be zero"}},
		{name: "port zero", spec: strings.ReplaceAll(with("routerID: 192.0.2.1"), "179", "0"), refused: []string{"spec.listenPort", "must be a TCP port"}},
	})
}

// A status is its writer's alone: an update of the object does not touch it,
// and lists beyond their bound are refused, so that no object outgrows etcd.
func TestNodeStateStatus(t *testing.T) {
	c := admin(t)
	ns := &v1alpha1.NodeState{}
	ns.Name = "status"
	ns.Status.RouterID = "192.0.2.9"
	create(t, c, ns)
	if ns.Status.RouterID != "" {
		t.Errorf("create wrote the status: %+v", ns.Status)
	}
	ns.Status.Blocks = make([]v1alpha1.BlockStatus, 257)
	for i := range ns.Status.Blocks {
		ns.Status.Blocks[i] = v1alpha1.BlockStatus{CIDR: fmt.Sprintf("10.0.%d.0/26", i), UID: "u"}
	}
	want := v1alpha1.WantedBlocks{Pool: "p", PoolUID: "pu", Count: 2}
	ns.Status.WantedBlocks = []v1alpha1.WantedBlocks{want, want}
	checkRefusal(t, c.Status().Update(t.Context(), ns), []string{"status.blocks", "at most 256 items"})
	ns.Status.Blocks = ns.Status.Blocks[:256]
	checkRefusal(t, c.Status().Update(t.Context(), ns), []string{"status.wantedBlocks[1]", "Duplicate value"})
	ns.Status.WantedBlocks = []v1alpha1.WantedBlocks{want}
	start := time.Now()
	if err := c.Status().Update(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	t.Logf("a full NodeState is written in %v", time.Since(start))
}
