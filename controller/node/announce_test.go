package node_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"k8s.io/apimachinery/pkg/api/meta"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/cniplugin/store"
	"fairlead.dev/dataplane"
)

// lose takes the block's route away, and lets nobody put it back.
func (r *rig) lose() {
	r.kernel.Refuse(own, errors.New("a static route is there"))
	r.kernel.Drop(own)
	r.settle()
}

func (r *rig) route(t *testing.T, pods int, err error) {
	t.Helper()
	r.use(t, pods)
	r.links.Lock()
	defer r.links.Unlock()
	r.links.routed, r.links.routedErr = nil, err
	for i, a := 0, own.Addr(); i < pods; i, a = i+1, a.Next() {
		r.links.routed = append(r.links.routed, dataplane.PodRoute{Address: a, HostVeth: r.links.pods[i]})
	}
}

func (r *rig) noted(t *testing.T) bool {
	t.Helper()
	s, err := r.store.Read()
	if err != nil || len(s.Leases) != 1 {
		t.Fatal(s.Leases, err)
	}
	return s.Leases[0].Announced
}

func TestABlockInUseStaysAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start(t)
		r.route(t, 2, nil)
		r.settle()
		r.lose()
		equal(t, "announced", r.announced(), own)
		c := meta.FindStatusCondition(r.View().State.Conditions, v1alpha1.ConditionReady)
		if c.Reason != "BlockNotProgrammed" || !strings.Contains(c.Message, "stays announced") {
			t.Errorf("condition: %+v", c)
		}
		if b := r.View().State.Blocks[0]; b.Programmed || !b.Advertised {
			t.Errorf("block: %+v", b)
		}
		r.route(t, 0, nil) // the last pod ends
		r.settle()
		equal(t, "announced without pods", r.announced())
		r.route(t, 1, nil) // a pod that comes now was never reachable
		r.settle()
		equal(t, "announced for a new pod", r.announced())
		r.kernel.Refuse(own, nil)
		r.settle()
		equal(t, "announced when programmed again", r.announced(), own)
	})
}

// The agent that comes after knows of the store only, and of the kernel.
func TestABlockInUseStaysAnnouncedByTheNextAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := newRig(t)
		first.start(t)
		if !first.noted(t) {
			t.Error("the store does not know of the announcement")
		}
		for _, announced := range []bool{true, false} {
			r := newRig(t, learned(away, tor1))
			if err := r.store.Update(func(s *store.State) error {
				s.SetLeases([]store.Lease{{CIDR: own, UID: "b1", Pool: "p", Announced: announced}})
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			r.route(t, 1, nil)
			r.kernel.Refuse(own, errors.New("a static route is there"))
			r.start(t)
			if !announced {
				equal(t, "never announced before", r.announced())
				continue
			}
			for _, c := range r.speaker.Applied() {
				equal(t, "announced", c.Announce, own)
			}
			if !r.noted(t) {
				t.Error("the store has forgotten the announcement")
			}
		}
	})
}

// Pods that the kernel does not route to are not reached either way. Not to know
// whether it does withdraws nothing.
func TestABlockWhosePodsHaveNoRoutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start(t)
		r.route(t, 2, errors.New("the dump was upset"))
		r.settle()
		r.lose()
		equal(t, "announced while the routes are not known", r.announced(), own)
		r.links.Lock()
		r.links.routed, r.links.routedErr = nil, nil
		r.links.Unlock()
		r.settle()
		equal(t, "announced without a route to a pod", r.announced())
		if r.noted(t) {
			t.Error("the store still says that it is announced")
		}
	})
}
