package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/controller/plan"
)

// A node waits for its first block of a family that a pool is to give it, and
// for nothing else.
func TestAwaited(t *testing.T) {
	noAdvertise := false
	four := held{pool: "four", cidr: "10.244.0.0/26"}
	six := held{pool: "six", cidr: "fd00::/122"}
	for name, tt := range map[string]struct {
		change func(*v1alpha1.IPPoolSpec) // of pool six
		held   []held
		claims []string // pools with a range in the AddressPlan
		want   []string
	}{
		"nothing leased yet":           {nil, nil, []string{"six", "four"}, []string{"four", "six"}},
		"the second family is to come": {nil, []held{four}, []string{"four", "six"}, []string{"six"}},
		"both are there":               {nil, []held{four, six}, []string{"four", "six"}, nil},
		"another pool has that family": {nil, []held{six, {pool: "old", cidr: "10.0.0.0/26"}}, []string{"four", "six"}, nil},
		"it has no range":              {nil, []held{four}, []string{"four"}, nil},
		"it is draining":               {func(s *v1alpha1.IPPoolSpec) { s.State = v1alpha1.PoolDraining }, []held{four}, []string{"six"}, nil},
		"it is for other nodes": {func(s *v1alpha1.IPPoolSpec) {
			s.NodeSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}
		}, []held{four}, []string{"six"}, nil},
		"it is for fairlead-ipam alone": {func(s *v1alpha1.IPPoolSpec) { s.Advertise = &noAdvertise }, []held{four}, []string{"six"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			pools := []v1alpha1.IPPool{poolNamed("four", nil), poolNamed("six", tt.change)}
			s := holding(pools, tt.held)
			for _, pool := range tt.claims {
				s.Intent.Ranges = append(s.Intent.Ranges, v1alpha1.AddressPlanEntry{
					CIDR: map[string]string{"four": "10.244.0.0/16", "six": "fd00::/64"}[pool], PoolName: pool, PoolUID: "uid-" + pool,
					IPAMOnly: pool == "six" && !pools[1].Spec.EffectiveAdvertise(),
				})
			}
			p, _ := plan.Compute(s)
			if diff := cmp.Diff(tt.want, p.Awaited); diff != "" {
				t.Errorf("awaited (-want +got):\n%s", diff)
			}
		})
	}
}
