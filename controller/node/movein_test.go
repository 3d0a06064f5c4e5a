package node_test

import (
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/cniplugin/install"
	"fairlead.dev/cniplugin/store"
)

// inUse are the addresses that anybody has on the node.
type inUse struct {
	sync.Mutex
	all      []netip.Addr
	err      error
	searches int
}

func (u *inUse) search([]netip.Prefix) ([]netip.Addr, error) {
	u.Lock()
	defer u.Unlock()
	u.searches++
	return slices.Clone(u.all), u.err
}

// are says what is found from now on.
func (u *inUse) are(all ...netip.Addr) { u.set(nil, all) }

// fail lets searches fail from now on.
func (u *inUse) fail() { u.set(errors.New("cannot look"), nil) }

func (u *inUse) set(err error, all []netip.Addr) {
	u.Lock()
	defer u.Unlock()
	u.all, u.err = all, err
}

func (u *inUse) count() int {
	u.Lock()
	defer u.Unlock()
	return u.searches
}

// newMoving is a node that moves in: its block is its podCIDR.
func newMoving(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.intents.in.Blocks[0].Spec.Adopted = true
	return r
}

// stored is the block's lease, and the addresses that others use.
func (r *rig) stored(t *testing.T) (lease store.Lease, foreign []netip.Addr) {
	t.Helper()
	s, err := r.store.Read()
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Leases) != 1 {
		t.Fatalf("leases %+v", s.Leases)
	}
	for _, a := range s.Allocations {
		if a.Kind == store.KindForeign {
			foreign = append(foreign, a.Address)
		}
	}
	return s.Leases[0], foreign
}

func (r *rig) wantShut(t *testing.T, when string, shut bool, foreign ...netip.Addr) {
	t.Helper()
	synctest.Wait()
	lease, held := r.stored(t)
	if lease.Closed != shut || !slices.Equal(held, foreign) {
		t.Errorf("%s: closed %v with %v, want %v with %v", when, lease.Closed, held, shut, foreign)
	}
}

func nth(n int) netip.Addr {
	a := own.Addr()
	for range n {
		a = a.Next()
	}
	return a
}

// The block is announced from the start, since pods have its addresses; it gives
// none out until an ADD of the other network must have ended.
func TestBlockOpensOnceOthersAreDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newMoving(t)
		r.inUse.are(nth(1), nth(5))
		r.start(t)
		r.converge()
		r.wantShut(t, "at first", true, nth(1), nth(5))
		equal(t, "announced", r.speaker.Applied()[len(r.speaker.Applied())-1].Announce, own)
		if err := r.Ready(); err != nil {
			t.Errorf("not ready: %v", err)
		}
		if got := r.reason(v1alpha1.ConditionAddressesAvailable); got != "MovingIn" {
			t.Errorf("reason %q", got)
		}
		if b := r.View().State.Blocks[0]; b.Used != 2 || b.Foreign != 2 || !b.Closed {
			t.Errorf("block %+v", b)
		}
		time.Sleep(20 * time.Second)
		r.wantShut(t, "after 20 s", true, nth(1), nth(5))
		r.inUse.are(nth(1), nth(5), nth(6)) // an ADD that was under way
		time.Sleep(12 * time.Second)
		r.wantShut(t, "after 32 s", false, nth(1), nth(5), nth(6))
		if got := r.reason(v1alpha1.ConditionAddressesAvailable); got != "Available" {
			t.Errorf("reason %q", got)
		}
		r.inUse.are(nth(6)) // two of their pods end
		time.Sleep(6 * time.Second)
		r.wantShut(t, "later", false, nth(6))
		r.inUse.are()
		time.Sleep(6 * time.Second)
		r.wantShut(t, "in the end", false)
		before := r.inUse.count()
		time.Sleep(time.Hour)
		if n := r.inUse.count() - before; n > 100 {
			t.Errorf("searched %d times in an hour with nothing to find", n)
		}
	})
}

// As long as the runtime gives pods to another network, that gives out the podCIDR.
func TestBlockIsShutWhileAnotherIsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newMoving(t)
		r.runtime.found.Rivals = []install.Rival{{Name: "05-bridge.conflist"}}
		r.start(t)
		time.Sleep(time.Hour)
		r.wantShut(t, "an hour later", true)
		away := func(rivals ...install.Rival) {
			r.runtime.Lock()
			r.runtime.found.Rivals, r.runtime.found.Touched = rivals, time.Now()
			r.runtime.Unlock()
			r.Wake()
			time.Sleep(time.Second)
		}
		away()
		r.wantShut(t, "as it has gone", true)
		time.Sleep(31 * time.Second)
		r.wantShut(t, "half a minute later", false)
		away(install.Rival{Name: "05-bridge.conflist"})
		r.wantShut(t, "as it is back", true)
	})
}

func TestBlockStaysShutUnsearched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newMoving(t)
		r.inUse.fail()
		r.start(t)
		time.Sleep(time.Minute)
		r.wantShut(t, "without a search", true)
		if got := r.reason(v1alpha1.ConditionReady); got != "SyncFailed" {
			t.Errorf("reason %q", got)
		}
		r.inUse.are(nth(7))
		time.Sleep(time.Minute)
		r.wantShut(t, "after one", false, nth(7))
		r.inUse.fail()
		time.Sleep(time.Minute)
		r.wantShut(t, "when it fails again", false, nth(7))
	})
}

// An agent that starts anew neither shuts what is open, nor waits on a node where
// ours has been the first for long; it searches before it opens.
func TestBlockOpensAtOnceAfterAReboot(t *testing.T) {
	for name, open := range map[string]bool{"new store": false, "store of an earlier agent": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newMoving(t)
				r.runtime.found = install.Found{Installed: true, Touched: time.Now().Add(-time.Hour)}
				r.inUse.are(nth(3))
				everShut := false
				if open {
					if err := r.store.Update(func(s *store.State) error {
						s.SetLeases([]store.Lease{{CIDR: own, UID: "b1"}})
						return nil
					}); err != nil {
						t.Fatal(err)
					}
					r.filter.before = func() {
						s, _ := r.store.Read()
						everShut = everShut || s.Leases[0].Closed
					}
				}
				r.start(t)
				time.Sleep(time.Second)
				r.wantShut(t, "a second later", false, nth(3))
				if everShut {
					t.Error("it was shut in between")
				}
			})
		})
	}
}

// A block that is taken back stays, closed, while another network's pods have addresses
// of it, and costs no more than they do.
func TestAdoptedBlockIsDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newMoving(t)
		r.runtime.found = install.Found{Installed: true, Touched: time.Now().Add(-time.Hour)}
		r.inUse.are(nth(3))
		r.start(t)
		r.converge()
		r.setBlock(func(b *v1alpha1.IPBlock) { b.Spec.State = v1alpha1.BlockDraining })
		r.settle()
		before := r.inUse.count()
		for range 60 {
			r.Wake()
			time.Sleep(time.Second)
		}
		if n := r.inUse.count() - before; n > 20 {
			t.Errorf("searched %d times in a minute", n)
		}
		r.wantShut(t, "while it drains", true, nth(3))
		if released := r.View().State.ReleasedBlocks; len(released) > 0 {
			t.Errorf("released %v", released)
		}
		r.inUse.are()
		time.Sleep(10 * time.Second)
		r.settle()
		if released := r.View().State.ReleasedBlocks; len(released) != 1 {
			t.Errorf("released %v", released)
		}
	})
}

// What a pod of ours has is not taken for another network's, whether it comes or goes
// while the node is searched.
func TestOwnPodsAreNotForeign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newMoving(t)
		r.runtime.found = install.Found{Installed: true, Touched: time.Now().Add(-time.Hour)}
		r.start(t)
		time.Sleep(time.Second)
		now, err := store.Now()
		if err != nil {
			t.Fatal(err)
		}
		r.links.pods = []string{"flpod"}
		var got []netip.Addr
		if err := r.store.Update(func(s *store.State) error {
			got, err = s.Allocate(store.Request{Attachment: store.Attachment{ContainerID: "c", IfName: "eth0", HostVeth: "flpod"}, Now: now})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		r.inUse.are(got...)
		time.Sleep(time.Minute)
		r.wantShut(t, "with a pod", false)
	})
}
