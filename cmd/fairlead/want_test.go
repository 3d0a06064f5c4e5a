package main

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/api/v1alpha1"
)

// Who asks in vain is told why, as far as the pool says.
func TestWantNote(t *testing.T) {
	pool := func(change func(*v1alpha1.IPPool)) []v1alpha1.IPPool {
		p := v1alpha1.IPPool{ObjectMeta: meta("pods")}
		change(&p)
		return []v1alpha1.IPPool{p}
	}
	for name, c := range map[string]struct {
		pools []v1alpha1.IPPool
		has   int64
		want  string
	}{
		"nothing":  {pool(func(*v1alpha1.IPPool) {}), 3, ""},
		"gone":     {nil, 1, "the pool is gone"},
		"draining": {pool(func(p *v1alpha1.IPPool) { p.Spec.State = v1alpha1.PoolDraining }), 1, "the pool is Draining"},
		"maximum":  {pool(func(*v1alpha1.IPPool) {}), 4, "maxBlocksPerNode is reached"},
		"exhausted": {pool(func(p *v1alpha1.IPPool) {
			p.Status.Conditions = []metav1.Condition{condition("Exhausted", "True", "", "")}
		}), 3, "the pool is exhausted"},
		"free": {pool(func(p *v1alpha1.IPPool) {
			p.Status.Conditions = []metav1.Condition{condition("Exhausted", "False", "", "")}
		}), 3, ""},
	} {
		if got := (want{poolUID: "pods-uid", has: c.has, needs: 9}).note(c.pools); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
