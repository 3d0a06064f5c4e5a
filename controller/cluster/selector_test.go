package cluster

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

func exists(key string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: metav1.LabelSelectorOpExists}}}
}

func TestSelectors(t *testing.T) {
	s := newSelectors()
	for i, sel := range []*metav1.LabelSelector{
		byLabel("rack", "r1"), nil, {}, exists("rack"), byLabel("rack", "r1", "role", "edge"), wrong(), byLabel("role", "edge"),
	} {
		if err := s.add(sel); (err != nil) != (i == 5) {
			t.Errorf("selector %d: error %v", i, err)
		}
	}
	for _, c := range []struct {
		labels map[string]string
		want   []int
	}{
		{nil, []int{1, 2}},
		{rack("r1"), []int{0, 1, 2, 3}},
		{rack("r2"), []int{1, 2, 3}},
		{map[string]string{"rack": "r1", "role": "edge"}, []int{0, 1, 2, 3, 4, 6}},
		{map[string]string{"not a label": "r1"}, []int{1, 2}},
	} {
		if diff := cmp.Diff(c.want, s.match(c.labels)); diff != "" {
			t.Errorf("%v matches (-want +got):\n%s", c.labels, diff)
		}
	}
}

// The index finds what trying every selector finds.
func TestSelectorsAgainstEach(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	pick := func(keys int) (key, value string) {
		return fmt.Sprint("k", random.IntN(keys)), fmt.Sprint("v", random.IntN(3))
	}
	s := newSelectors()
	var each []labels.Selector
	for range 200 {
		sel := byLabel()
		for range random.IntN(4) {
			k, v := pick(4)
			sel.MatchLabels[k] = v
		}
		if random.IntN(3) == 0 {
			k, v := pick(4)
			sel.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: k, Operator: metav1.LabelSelectorOpNotIn, Values: []string{v}}}
		}
		if err := s.add(sel); err != nil {
			t.Fatal(err)
		}
		parsed, err := metav1.LabelSelectorAsSelector(sel)
		if err != nil {
			t.Fatal(err)
		}
		each = append(each, parsed)
	}
	for range 200 {
		node := map[string]string{}
		for range random.IntN(5) {
			k, v := pick(5)
			node[k] = v
		}
		var want []int
		for i, sel := range each {
			if sel.Matches(labels.Set(node)) {
				want = append(want, i)
			}
		}
		if diff := cmp.Diff(want, s.match(node)); diff != "" {
			t.Fatalf("%v matches (-want +got):\n%s", node, diff)
		}
	}
}
