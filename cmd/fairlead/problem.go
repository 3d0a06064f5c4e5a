package main

import (
	"cmp"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/api/v1alpha1"
)

// problem is one thing that is not well, and what is known about it.
type problem struct {
	Object    string     `json:"object"`
	Condition string     `json:"condition"`
	Reason    string     `json:"reason"`
	Message   string     `json:"message"`
	Since     *time.Time `json:"since,omitempty"`
}

// badWhenTrue says of a condition type that True is the bad news. Of every
// other type, what is not True is.
func badWhenTrue(conditionType string) bool {
	switch conditionType {
	case v1alpha1.ConditionOverlap, v1alpha1.ConditionExhausted, v1alpha1.ConditionLimited, v1alpha1.ConditionConflict:
		return true
	}
	return false
}

func isWell(c metav1.Condition) bool {
	if badWhenTrue(c.Type) {
		return c.Status == metav1.ConditionFalse
	}
	return c.Status == metav1.ConditionTrue
}

// isWellType says whether no condition of that type tells bad news.
func isWellType(conditions []metav1.Condition, conditionType string) bool {
	return !slices.ContainsFunc(conditions, func(c metav1.Condition) bool { return c.Type == conditionType && !isWell(c) })
}

// problems lists everything that is not well, sorted by object. What a node
// said that is gone is no problem any more.
func problems(f facts) []problem {
	ps := slices.Clone(f.problems)
	for _, p := range f.pools {
		ps = append(ps, ofController("IPPool/"+p.Name, p.Generation, p.Status.Conditions)...)
	}
	for _, c := range f.configs {
		ps = append(ps, ofController("BGPConfiguration/"+c.Name, c.Generation, c.Status.Conditions)...)
	}
	for _, p := range f.bgpPeers {
		ps = append(ps, ofController("BGPPeer/"+p.Name, p.Generation, p.Status.Conditions)...)
	}
	for _, n := range f.nodes {
		if n.report != nil && !n.gone {
			ps = append(ps, ofConditions("NodeState/"+n.name, n.report.Conditions)...)
		}
	}
	slices.SortStableFunc(ps, func(a, b problem) int {
		return cmp.Or(cmp.Compare(a.Object, b.Object), cmp.Compare(a.Condition, b.Condition))
	})
	return ps
}

func ofConditions(object string, conditions []metav1.Condition) []problem {
	var ps []problem
	for _, c := range conditions {
		if isWell(c) {
			continue
		}
		p := problem{Object: object, Condition: c.Type + "=" + string(c.Status), Reason: c.Reason, Message: c.Message}
		if !c.LastTransitionTime.IsZero() {
			p.Since = &c.LastTransitionTime.Time
		}
		ps = append(ps, p)
	}
	return ps
}

// ofController adds to an object's conditions that the controller has not seen
// the object as it is now.
func ofController(object string, generation int64, conditions []metav1.Condition) []problem {
	ps := ofConditions(object, conditions)
	seen := int64(0)
	for _, c := range conditions {
		seen = max(seen, c.ObservedGeneration)
	}
	if seen < generation {
		ps = append(ps, problem{
			Object: object, Condition: "Observed", Reason: "NotObserved",
			Message: "the controller has not seen its last change: does fairlead-controller run?",
		})
	}
	return ps
}

func problemTable(ps []problem, now time.Time) table {
	t := table{title: "PROBLEMS", header: []string{"OBJECT", "CONDITION", "REASON", "SINCE", "MESSAGE"}}
	for _, p := range ps {
		since := none
		if p.Since != nil {
			since = ago(now, *p.Since)
		}
		t.rows = append(t.rows, []string{p.Object, p.Condition, p.Reason, since, p.Message})
	}
	return t
}
