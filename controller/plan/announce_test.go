package plan_test

import (
	"errors"
	"net/netip"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/controller/plan"
	"fairlead.dev/dataplane"
)

func TestABlockInUseStaysAnnounced(t *testing.T) {
	block := netip.MustParsePrefix("10.244.0.0/26")
	own := dataplane.Result{Seen: true}
	foreign := dataplane.Result{Seen: true, Failed: map[netip.Prefix]error{block: errors.New("another's route is in its place")}}
	nothing := dataplane.Result{}
	inUse := plan.Lease{UID: "b1", Announced: true, Capacity: 64, Used: 3}
	change := func(f func(*plan.Lease)) plan.Lease {
		l := inUse
		f(&l)
		return l
	}
	for _, tt := range []struct {
		name  string
		lease plan.Lease
		state v1alpha1.BlockState
		done  dataplane.Result
		// pods says that the kernel routes an address to a pod.
		pods, unheld, announced bool
	}{
		{"programmed", inUse, v1alpha1.BlockLeased, own, true, false, true},
		{"programmed, and never before", plan.Lease{UID: "b1"}, v1alpha1.BlockLeased, own, false, false, true},
		{"in use", inUse, v1alpha1.BlockLeased, nothing, true, true, true},
		{"in use, another's route in its place", inUse, v1alpha1.BlockLeased, foreign, true, true, true},
		{"in use, draining", change(func(l *plan.Lease) { l.Closed = true }), v1alpha1.BlockDraining, nothing, true, true, true},
		{"in use, pods without routes", inUse, v1alpha1.BlockLeased, nothing, false, true, false},
		{"never announced", change(func(l *plan.Lease) { l.Announced = false }), v1alpha1.BlockLeased, nothing, true, false, false},
		{"announced as another lease", change(func(l *plan.Lease) { l.UID = "b0" }), v1alpha1.BlockLeased, nothing, true, false, false},
		{"not in use", change(func(l *plan.Lease) { l.Used = 0 }), v1alpha1.BlockLeased, nothing, true, false, false},
		{"leased to nobody soon", inUse, v1alpha1.BlockCooling, nothing, true, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, problems := plan.Compute(plan.Snapshot{
				Intent: plan.Intent{
					Node: v1alpha1.BGPNode{
						ObjectMeta: metav1.ObjectMeta{Name: "n1"},
						Spec:       v1alpha1.BGPNodeSpec{ASNumber: 65101, RouterID: "10.1.0.11"},
					},
					Blocks: []v1alpha1.IPBlock{{
						ObjectMeta: metav1.ObjectMeta{Name: "10.244.0.0-26", UID: "b1"},
						Spec:       v1alpha1.IPBlockSpec{CIDR: block.String(), PoolName: "p", State: tt.state},
					}},
				},
				Leases: map[netip.Prefix]plan.Lease{block: tt.lease},
			})
			if len(problems) > 0 && tt.state != v1alpha1.BlockCooling {
				t.Fatal(problems)
			}
			unheld := p.Unheld(tt.done)
			if got := len(unheld) == 1; got != tt.unheld {
				t.Errorf("unheld %v", unheld)
			}
			if !tt.pods {
				unheld = nil
			}
			if got := slices.Contains(p.Announceable(tt.done, unheld).Announce, block); got != tt.announced {
				t.Errorf("announced: %t, want %t", got, tt.announced)
			}
		})
	}
}
