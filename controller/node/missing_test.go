package node_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/cniplugin/store"
)

// converge brings both ToRs up, each with a route to away.
func (r *rig) converge() {
	for _, tor := range []netip.Addr{tor1, tor2} {
		r.speaker.Establish(tor)
		r.speaker.Receive(tor, away, tor)
		r.speaker.EndOfRIB(tor)
	}
	r.settle()
}

// BGP that could not start for longer than peers have to send their routes
// still gives them that time when it does.
func TestLateStartOfBGPDeletesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, learned(away, tor1), learned(old, tor1))
		r.speaker.Fail(errors.New("port 179 is taken"))
		r.start(t)
		time.Sleep(time.Hour)
		synctest.Wait()
		r.speaker.Fail(nil)
		r.settle()
		equal(t, "announced", r.announced(), own)
		equal(t, "kernel before sessions", r.kernel.prefixes(t), own, away, old)
		r.converge()
		equal(t, "kernel when all has come", r.kernel.prefixes(t), own, away)
	})
}

// So does one that could not be started anew.
func TestLateChangeOfGlobalsDeletesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start(t)
		r.converge()
		r.speaker.Fail(errors.New("port 1790 is taken"))
		r.intents.Lock()
		r.intents.in.Node.Spec.ListenPort = 1790
		r.intents.Unlock()
		r.settle()
		time.Sleep(time.Hour)
		synctest.Wait()
		r.speaker.Fail(nil)
		r.settle()
		equal(t, "kernel while sessions come back", r.kernel.prefixes(t), own, away)
	})
}

func TestUnreadRIBDeletesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start(t)
		r.converge()
		r.speaker.FailRoutes(errors.New("table is being changed"))
		r.settle()
		equal(t, "kernel", r.kernel.prefixes(t), own, away)
		if r.reason(v1alpha1.ConditionReady) != "SyncFailed" {
			t.Errorf("conditions: %+v", r.View().State.Conditions)
		}
		r.speaker.FailRoutes(nil)
		r.speaker.Withdraw(tor1, away)
		r.speaker.Withdraw(tor2, away)
		r.settle()
		equal(t, "kernel after it", r.kernel.prefixes(t), own)
	})
}

// A kernel that cannot be listed at first is asked again.
func TestStartWithAnInterruptedDump(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, learned(old, tor1))
		r.kernel.RefuseDump(errors.New("dump interrupted"))
		r.start(t)
		r.kernel.RefuseDump(nil)
		r.settle()
		if !r.speaker.Applied()[0].Global.Restarting {
			t.Error("the speaker does not know that routes survived")
		}
		equal(t, "kernel", r.kernel.prefixes(t), own, old)
	})
}

// A route of another kind that holds the block's place is not the block's.
func TestAFailedReplacementIsNotAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, learned(own, tor1))
		r.kernel.Refuse(own, errors.New("no memory"))
		r.start(t)
		equal(t, "announced", r.announced())
		st := r.View().State
		if r.reason(v1alpha1.ConditionReady) != "BlockNotProgrammed" || st.Blocks[0].Programmed || st.Routes.Installed != 0 {
			t.Errorf("status: %+v", st)
		}
	})
}

// One peer that the speaker refuses keeps nobody else from anything.
func TestARefusedPeerIsIsolated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		bad := torPeer("bad", netip.MustParseAddr("10.1.0.3"))
		bad.Spec.HoldTimeSeconds = 1 // written around the API's rules
		r.intents.in.Peers = append(r.intents.in.Peers, bad)
		r.start(t)
		r.converge()
		r.speaker.Withdraw(tor1, away)
		r.speaker.Withdraw(tor2, away)
		time.Sleep(5 * time.Minute) // the peer that is no peer never sends End-of-RIB
		r.settle()
		equal(t, "kernel", r.kernel.prefixes(t), own)
		st := r.View().State
		if err := r.Ready(); err != nil || !st.Blocks[0].Advertised {
			t.Errorf("ready: %v, status %+v", err, st)
		}
		r.setBlock(func(b *v1alpha1.IPBlock) { b.Spec.State = v1alpha1.BlockDraining })
		r.settle()
		if got := r.View().State.ReleasedBlocks; len(got) != 1 {
			t.Errorf("released: %v", got)
		}
	})
}

// What fails may ask for the next sync each time: that is no reason to hurry.
func TestFailureDoesNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.speaker.Fail(errors.New("port 179 is taken"))
		r.start(t)
		syncs := 0
		began := time.Now()
		for time.Since(began) < time.Minute {
			before := r.View()
			r.Wake()
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			if r.View() != before {
				syncs++
			}
		}
		if syncs < 10 || syncs > 90 {
			t.Errorf("%d syncs in a minute", syncs)
		}
	})
}

// After the time for End-of-RIB a failing sync still backs off.
func TestFailureAfterTheDeadlineDoesNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start(t)
		r.kernel.RefuseDump(errors.New("dump interrupted"))
		time.Sleep(5 * time.Minute)
		syncs := 0
		for range 600 {
			before := r.View()
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			if r.View() != before {
				syncs++
			}
		}
		if syncs < 5 || syncs > 30 {
			t.Errorf("%d syncs in a minute", syncs)
		}
	})
}

// The first report knows the capacity of the blocks that its sync leased.
func TestFirstReportCountsAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s, err := store.Open(r.dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Update(func(st *store.State) error {
			st.Allocations = []store.Allocation{{Address: own.Addr(), Kind: store.KindPod, HostVeth: "flpod"}}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		r.links.pods = []string{"flpod"}
		r.run(t)
		synctest.Wait()
		st := r.View().State
		if b := st.Blocks[0]; b.Capacity != 64 || b.Used != 1 || r.reason(v1alpha1.ConditionAddressesAvailable) != "Available" {
			t.Errorf("first status: %+v", st)
		}
	})
}

func TestSteadyStateListsTheKernelOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start(t)
		r.converge()
		before := r.kernel.applies
		r.Wake()
		time.Sleep(time.Second)
		synctest.Wait()
		if n := r.kernel.applies - before; n != 1 {
			t.Errorf("a sync that changes nothing applies routes %d times", n)
		}
	})
}

func TestRefusedRoutesAreSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.kernel.Refuse(away, errors.New("no such device"))
		r.start(t)
		r.converge()
		c := r.View().State.Routes
		if c.Wanted != 2 || c.Installed != 1 || c.Failed != 1 {
			t.Errorf("routes: %+v", c)
		}
		for _, x := range r.View().Routes {
			if x.Prefix == away && (x.Installed || !strings.Contains(x.Problem, "no such device")) {
				t.Errorf("route: %+v", x)
			}
		}
	})
}

// What forwarding needs is seen to at each resync and not at each sync, and its
// failure stops nothing else.
func TestPrepareAtEachResync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start(t)
		if r.links.prepared != 1 {
			t.Errorf("prepared %d times at the start", r.links.prepared)
		}
		r.links.Lock()
		r.links.failure = errors.New("read-only file system")
		r.links.Unlock()
		time.Sleep(70 * time.Second)
		synctest.Wait()
		r.converge()
		equal(t, "kernel", r.kernel.prefixes(t), own, away)
		if err := r.Ready(); err == nil || !strings.Contains(err.Error(), "read-only") {
			t.Errorf("ready: %v", err)
		}
		r.links.Lock()
		r.links.failure = nil
		r.links.Unlock()
		r.settle()
		if err := r.Ready(); err != nil {
			t.Error(err)
		}
	})
}
