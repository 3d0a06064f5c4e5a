package cluster

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"fairlead.dev/api/v1alpha1"
)

func podCIDRs(node *corev1.Node, cidrs ...string) *corev1.Node {
	node.Spec.PodCIDRs = cidrs
	return node
}

func adopting(name, cidr string, size int32) *v1alpha1.IPPool {
	p := newPool(name, cidr, size)
	p.Spec.Source = v1alpha1.SourceNodeSpec
	return p
}

func TestAdopt(t *testing.T) {
	held := func(cidr, node string, state v1alpha1.BlockState) v1alpha1.IPBlock {
		b := v1alpha1.IPBlock{Spec: v1alpha1.IPBlockSpec{CIDR: cidr, PoolName: "p", PoolUID: "uid-p", NodeName: node, State: state}}
		b.Name = strings.ReplaceAll(cidr, "/", "-")
		return b
	}
	for name, test := range map[string]struct {
		nodes   []*corev1.Node
		blocks  []v1alpha1.IPBlock
		adopted []string
		refused []string // what each refusal must say, with "|" between
	}{
		"each its own": {
			nodes:   []*corev1.Node{podCIDRs(newNode("a", 0, nil), "fd00::/64", "10.1.7.0/24"), podCIDRs(newNode("b", 1, nil), "10.1.2.0/24")},
			adopted: []string{"a 10.1.7.0/24", "b 10.1.2.0/24"},
		},
		"leased already": {
			nodes:  []*corev1.Node{podCIDRs(newNode("a", 0, nil), "10.1.7.0/24")},
			blocks: []v1alpha1.IPBlock{held("10.1.7.0/24", "a", v1alpha1.BlockLeased)},
		},
		"none yet": {
			nodes:   []*corev1.Node{newNode("a", 0, nil), podCIDRs(newNode("b", 0, nil), "fd00::/64")},
			refused: []string{"Node/a spec.podCIDRs has no IPv4 range|--allocate-node-cidrs", "Node/b spec.podCIDRs has no IPv4"},
		},
		"another length": {
			nodes:   []*corev1.Node{podCIDRs(newNode("a", 0, nil), "10.1.7.0/25"), podCIDRs(newNode("b", 0, nil), "10.1.8.0/23")},
			refused: []string{"Node/a spec.podCIDRs[0] 10.1.7.0/25|length 25|spec.blockSize, 24", "Node/b spec.podCIDRs[0] 10.1.8.0/23|length 23"},
		},
		"outside": {
			nodes:   []*corev1.Node{podCIDRs(newNode("a", 0, nil), "10.2.7.0/24"), podCIDRs(newNode("b", 0, nil), "10.0.0.0/8")},
			refused: []string{"Node/a spec.podCIDRs[0] 10.2.7.0/24 is not inside spec.cidr 10.1.0.0/16", "Node/b|is not inside"},
		},
		"two with one": {
			nodes:   []*corev1.Node{podCIDRs(newNode("a", 2, nil), "10.1.7.0/24"), podCIDRs(newNode("b", 1, nil), "10.1.7.0/24")},
			adopted: []string{"b 10.1.7.0/24"},
			refused: []string{"Node/a spec.podCIDRs[0] 10.1.7.0/24|Node/b"},
		},
		"another's block": {
			nodes:   []*corev1.Node{podCIDRs(newNode("a", 0, nil), "10.1.7.0/24"), podCIDRs(newNode("b", 1, nil), "10.1.8.0/24")},
			blocks:  []v1alpha1.IPBlock{held("10.1.7.0/24", "gone", v1alpha1.BlockCooling), held("10.1.8.64/26", "c", v1alpha1.BlockLeased)},
			refused: []string{"Node/a|IPBlock/10.1.7.0-24, Cooling on node gone", "Node/b|IPBlock/10.1.8.64-26, Leased on node c"},
		},
		"its own that drains": {
			nodes:   []*corev1.Node{podCIDRs(newNode("a", 0, nil), "10.1.7.0/24")},
			blocks:  []v1alpha1.IPBlock{held("10.1.7.0/24", "a", v1alpha1.BlockDraining)},
			refused: []string{"Node/a|Draining on node a"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &State{Now: born, Pools: []v1alpha1.IPPool{*adopting("p", "10.1.0.0/16", 24)}, Blocks: test.blocks}
			for _, n := range test.nodes {
				s.Nodes = append(s.Nodes, *n)
			}
			p := readPools(s)[0]
			var got []string
			for _, a := range p.adoptions {
				got = append(got, a.node.Name+" "+a.block.String())
			}
			if diff := cmp.Diff(test.adopted, got); diff != "" {
				t.Errorf("adopted (-want +got):\n%s", diff)
			}
			if len(p.refusals) != len(test.refused) {
				t.Fatalf("refused %q, want %q", p.refusals, test.refused)
			}
			c := meta.FindStatusCondition(decidePools(s)["p"].Conditions, v1alpha1.ConditionAdopted)
			for i, texts := range test.refused {
				for text := range strings.SplitSeq(texts, "|") {
					if !strings.Contains(p.refusals[i], text) || !strings.Contains(c.Message, text) {
						t.Errorf("refusal %q, condition %q: %q is missing", p.refusals[i], c.Message, text)
					}
				}
			}
			if well := len(test.refused)+len(test.adopted) == 0; (c.Status == "True") != well {
				t.Errorf("condition %+v", c)
			}
			if len(p.waiting) > 0 {
				t.Error("a node waits for a block of the pool's choice")
			}
		})
	}
}
