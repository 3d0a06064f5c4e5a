package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
)

// Blocks are the nodes' podCIDRs, whenever these come, and go with them.
func TestPodCIDRsAreAdopted(t *testing.T) {
	e := newEnv(t)
	four, six := adopting("four", "10.7.0.0/16", 24), adopting("six", "fd00:7::/48", 64)
	late, odd := newNode("late", 0, nil), podCIDRs(newNode("odd", 0, nil), "10.7.9.0/25")
	e.create(four, six, late, odd, podCIDRs(newNode("n", 0, nil), "10.7.200.0/24", "fd00:7:0:c8::/64"))
	e.start(quick())
	for pool, want := range map[string]string{"four": "10.7.200.0/24", "six": "fd00:7:0:c8::/64"} {
		if b := e.leased("n", pool); b.Spec.CIDR != want || !b.Spec.Adopted {
			t.Errorf("block %+v, want %s, adopted", b.Spec, want)
		}
	}
	message := has(e, four, ofPool, v1alpha1.ConditionAdopted, metav1.ConditionFalse, reasonPodCIDRRefused)
	for _, text := range []string{"Node/late spec.podCIDRs", "Node/odd spec.podCIDRs[0] 10.7.9.0/25"} {
		if !strings.Contains(message, text) {
			t.Errorf("message %q lacks %q", message, text)
		}
	}
	e.ok(e.Patch(t.Context(), late, client.RawPatch(client.Merge.Type(), []byte(`{"spec":{"podCIDR":"10.7.3.0/24","podCIDRs":["10.7.3.0/24","fd00:7:0:3::/64"]}}`))))
	if b := e.leased("late", "four"); b.Spec.CIDR != "10.7.3.0/24" {
		t.Errorf("block %+v", b.Spec)
	}
	e.ok(e.Delete(t.Context(), odd))
	has(e, four, ofPool, v1alpha1.ConditionAdopted, metav1.ConditionTrue, reasonPodCIDRs)
	has(e, four, ofPool, v1alpha1.ConditionExhausted, metav1.ConditionFalse, reasonBlocksFree)

	// A node that asks for more gets none: it has one podCIDR.
	node := podCIDRs(newNode("n", 0, nil))
	e.ok(e.Get(t.Context(), client.ObjectKeyFromObject(node), node))
	e.reports("n", v1alpha1.NodeStateStatus{NodeUID: string(node.UID), WantedBlocks: []v1alpha1.WantedBlocks{{Pool: "four", PoolUID: string(four.UID), Count: 3}}})
	has(e, four, ofPool, v1alpha1.ConditionLimited, metav1.ConditionTrue, reasonMaximumReached)
	if blocks := e.blocksOf("n", "four"); len(blocks) != 1 {
		t.Errorf("blocks %v", summary(blocks))
	}
}

// A Node that is made anew with another podCIDR gets that, and its old block drains
// as its pods end. Meanwhile nobody else gets the old one.
func TestNodeWithAnotherPodCIDR(t *testing.T) {
	e := newEnv(t)
	p := adopting("p", "10.7.0.0/16", 24)
	node := podCIDRs(newNode("n", 0, nil), "10.7.1.0/24")
	e.create(p, node)
	opts := quick()
	opts.NodeGracePeriod = patience
	e.start(opts)
	old := e.leased("n", "p")
	e.ok(e.Delete(t.Context(), node))
	again := podCIDRs(newNode("n", 0, nil), "10.7.2.0/24")
	again.UID = ""
	e.create(again, podCIDRs(newNode("m", 0, nil), "10.7.1.0/24"))
	old = e.becomes(old, v1alpha1.BlockDraining)
	e.eventually("the new podCIDR is leased", func() string {
		all := summary(e.blocks())
		if !slices.Contains(all, "10.7.2.0/24 Leased p/n") {
			return fmt.Sprint(all)
		}
		return ""
	})
	e.eventually("the refusal has the block's state of now", func() string {
		message := has(e, p, ofPool, v1alpha1.ConditionAdopted, metav1.ConditionFalse, reasonPodCIDRRefused)
		if !strings.Contains(message, "Node/m spec.podCIDRs[0] 10.7.1.0/24 overlaps IPBlock/10.7.1.0-24, Draining on node n") {
			return message
		}
		return ""
	})
	e.reports("n", v1alpha1.NodeStateStatus{NodeUID: string(again.UID), ReleasedBlocks: []string{string(old.UID)}})
	if b := e.leased("m", "p"); b.Spec.CIDR != "10.7.1.0/24" || b.UID == old.UID {
		t.Errorf("block %+v", b)
	}
}

// With two leaders, and nodes that come and go while their podCIDRs are given to the
// next, as kube-controller-manager does: a block is never two nodes', and in the end
// each node has its own.
func TestTwoLeadersAdopt(t *testing.T) {
	e := newEnv(t)
	const nodes = 60
	e.start(quick())
	e.start(quick())
	e.create(adopting("p", "10.7.0.0/16", 24))
	node := func(name string, i int) *corev1.Node {
		return podCIDRs(newNode(name, 0, nil), fmt.Sprintf("10.7.%d.0/24", i))
	}
	for i := range nodes {
		e.create(node(fmt.Sprintf("old%02d", i), i))
		if i%3 == 0 { // gone, and its podCIDR is the next one's at once
			e.ok(e.Delete(t.Context(), newNode(fmt.Sprintf("old%02d", i), 0, nil)))
			e.create(node(fmt.Sprintf("new%02d", i), i))
		}
	}
	e.eventually("each node has its podCIDR", func() string {
		blocks := e.blocks()
		e.disjoint(blocks)
		have := summary(blocks)
		for i := range nodes {
			name := fmt.Sprintf("old%02d", i)
			if i%3 == 0 {
				name = fmt.Sprintf("new%02d", i)
			}
			if want := fmt.Sprintf("10.7.%d.0/24 Leased p/%s", i, name); !slices.Contains(have, want) {
				return fmt.Sprintf("no %q among %d blocks", want, len(have))
			}
		}
		if len(have) != nodes {
			return fmt.Sprint(len(have), " blocks")
		}
		return ""
	})
}
