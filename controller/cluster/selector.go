package cluster

import (
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// selectors finds which of many nodeSelectors match a node without trying each:
// a cluster with a BGPPeer for each ToR has thousands, nearly all of which name
// a rack by a label.
type selectors struct {
	all     []labels.Selector // nil where the selector is invalid
	always  []int
	byLabel map[label][]int
	keys    map[string]bool
}

type label struct{ key, value string }

func newSelectors() *selectors {
	return &selectors{byLabel: map[label][]int{}, keys: map[string]bool{}}
}

// add returns an error for a selector that is invalid; it then matches nothing.
// Matches are numbered in the order of the calls. A nil selector matches all.
func (s *selectors) add(sel *metav1.LabelSelector) error {
	number := len(s.all)
	if sel == nil {
		s.all = append(s.all, labels.Everything())
		s.always = append(s.always, number)
		return nil
	}
	parsed, err := metav1.LabelSelectorAsSelector(sel)
	if err != nil {
		s.all = append(s.all, nil)
		return err
	}
	s.all = append(s.all, parsed)
	if len(sel.MatchLabels) == 0 {
		s.always = append(s.always, number)
		return nil
	}
	key := slices.Min(slices.Collect(maps.Keys(sel.MatchLabels)))
	at := label{key, sel.MatchLabels[key]}
	s.byLabel[at] = append(s.byLabel[at], number)
	s.keys[key] = true
	return nil
}

// match returns the numbers of the selectors that match, ascending.
func (s *selectors) match(node map[string]string) []int {
	var out []int
	try := func(numbers []int) {
		for _, n := range numbers {
			if s.all[n].Matches(labels.Set(node)) {
				out = append(out, n)
			}
		}
	}
	try(s.always)
	for key := range s.keys {
		if value, found := node[key]; found {
			try(s.byLabel[label{key, value}])
		}
	}
	slices.Sort(out)
	return out
}
