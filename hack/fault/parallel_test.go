package fault_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"fairlead.dev/cniplugin/store"
	agent "fairlead.dev/controller/node"
	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/link"
)

const (
	// crowdSize is how many pods a node is asked to start at once.
	crowdSize = 64
	// attempts of a runtime that is told to try again: without a pause between
	// them, so many more than a kubelet needs.
	attempts = 500
	// rounds are how often each of them starts.
	rounds = 2
	// pings at once.
	pings = 4
)

// Many pods start and then end at once, while the agent does its work on the
// store beside them, and the store is removed now and then.
func TestParallel(t *testing.T) {
	n := newNode(t)
	clean, err := look(n.ns, "")
	if err != nil {
		t.Fatal(err)
	}
	var pods []pod
	t.Cleanup(func() {
		for _, p := range pods {
			p.release()
		}
	})
	for range crowdSize {
		p, err := newPod()
		if err != nil {
			t.Fatal(err)
		}
		pods = append(pods, p)
	}

	addresses := make([][]netip.Addr, len(pods))
	n.beside(t, func(done *atomic.Int64) { addresses = n.addAll(t, pods, done) })
	if t.Failed() {
		return
	}
	seen := map[netip.Addr]int{}
	for i, list := range addresses {
		for _, a := range list {
			if other, twice := seen[a]; twice {
				t.Errorf("%s is the address of pods %d and %d", a, other, i)
			}
			seen[a] = i
		}
	}
	if len(seen) != 2*len(pods) {
		t.Errorf("%d addresses, want two for each of %d pods", len(seen), len(pods))
	}
	n.pingAll(t, pods, addresses)
	if err := n.sound(); err != nil {
		t.Error(err)
	}

	n.beside(t, func(done *atomic.Int64) { n.delAll(t, pods, done) })
	n.searchAll(t)
	if err := n.sound(); err != nil {
		t.Error(err)
	}
	now, err := look(n.ns, "")
	if diff := cmp.Diff(clean, now); err != nil || diff != "" {
		t.Errorf("the node is not as it was (-before +after):\n%s %v", diff, err)
	}
	if h, err := n.held(); err != nil || len(h.Allocations) != 0 {
		t.Errorf("held: %+v, %v", h.Allocations, err)
	}
}

// addAll starts every pod, ends it and starts it again, all at once, and returns
// their addresses. It counts in done.
func (n *node) addAll(t *testing.T, pods []pod, done *atomic.Int64) [][]netip.Addr {
	t.Helper()
	got := make([][]netip.Addr, len(pods))
	var again atomic.Int64
	var g errgroup.Group
	for i, p := range pods {
		g.Go(func() (err error) {
			for range rounds {
				if _, err := n.run(n.call("DEL", p)); err != nil { // of what never was, at first
					return fmt.Errorf("DEL of pod %d: %w", i, err)
				}
				if got[i], err = n.insist(p, &again); err != nil {
					return fmt.Errorf("ADD of pod %d: %w", i, err)
				}
				done.Add(1)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	t.Logf("%d pods at once, %d times each, were told to try again %d times", len(pods), rounds, again.Load())
	return got
}

// codeHeld says that the attachment has addresses already: DEL, then ADD again.
const codeHeld = 100

// insist does as a runtime does: it tries again while it is told to, and counts.
// A DEL that found no store may be followed by codeHeld: a plugin that was writing
// while the store was removed has brought it back as it was before.
func (n *node) insist(p pod, again *atomic.Int64) ([]netip.Addr, error) {
	for range attempts {
		r, err := n.run(n.call("ADD", p))
		if err == nil {
			return r.addresses(), nil
		}
		var e *types.Error
		if !errors.As(err, &e) || e.Code != types.ErrTryAgainLater && e.Code != codeHeld {
			return nil, err
		}
		again.Add(1)
		if _, err := n.run(n.call("DEL", p)); err != nil {
			return nil, fmt.Errorf("DEL, to try again: %w", err)
		}
	}
	return nil, fmt.Errorf("told to try again %d times", attempts)
}

func (n *node) delAll(t *testing.T, pods []pod, done *atomic.Int64) {
	t.Helper()
	var g errgroup.Group
	for i, p := range pods {
		g.Go(func() error {
			if _, err := n.run(n.call("DEL", p)); err != nil {
				return fmt.Errorf("DEL of pod %d: %w", i, err)
			}
			done.Add(1)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

func (n *node) pingAll(t *testing.T, pods []pod, addresses [][]netip.Addr) {
	t.Helper()
	var g errgroup.Group
	g.SetLimit(pings)
	for i, list := range addresses {
		for _, a := range list {
			g.Go(func() error { return ping(pods[(i+1)%len(pods)], a.String()) })
		}
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

// searchAll is the agent's search for leaks when the grace of all is over: DELs
// that found no store have left that to it.
func (n *node) searchAll(t *testing.T) {
	t.Helper()
	now, err := store.Now()
	if err != nil {
		t.Fatal(err)
	}
	now.At += store.LeakGrace
	freed, err := n.searchLeaks(now)
	if err != nil {
		t.Error(err)
	}
	t.Logf("the agent frees %d addresses of pods that ended without a store", len(freed))
}

// beside runs f, which counts the pods that are done, while the agent works and
// somebody removes its store several times.
func (n *node) beside(t *testing.T, f func(done *atomic.Int64)) {
	t.Helper()
	routes := func() (list []dataplane.PodRoute, err error) {
		err = n.ns.Inside(func() error {
			c, err := link.Dial()
			if err != nil {
				return err
			}
			defer c.Close()
			list, err = c.PodRoutes()
			return err
		})
		return list, err
	}
	s, err := agent.OpenStore(n.storeDir(), routes, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var done atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := n.work(ctx, s, &done); err != nil {
			t.Errorf("the agent: %v", err)
		}
	})
	f(&done)
	stop()
	wg.Wait()
	// Its next turn, which sees what was done last.
	if err := s.Update(func(*store.State) error { return nil }); err != nil {
		t.Errorf("the agent: %v", err)
	}
}

// work is the agent's on the store, turn by turn. Before some turns, each time
// after so many more pods, somebody removes the store. As the agent does, it goes
// on after a failure: pods that come and go upset the kernel's lists.
func (n *node) work(ctx context.Context, s *agent.RebuiltStore, done *atomic.Int64) error {
	const every = crowdSize / 4
	succeeded := time.Now()
	for next := int64(every); ctx.Err() == nil; {
		if done.Load() >= next {
			next += every
			// A plugin may write into the folder while it is emptied.
			if err := os.RemoveAll(n.storeDir()); err != nil && !errors.Is(err, unix.ENOTEMPTY) {
				return err
			}
		}
		switch err := n.workOnce(s); {
		case err == nil:
			succeeded = time.Now()
		case time.Since(succeeded) > bound:
			return err
		}
	}
	return nil
}

func (n *node) workOnce(s *agent.RebuiltStore) error {
	asOf, err := store.Now()
	if err != nil {
		return err
	}
	live, err := n.podLinks()
	if err != nil {
		return err
	}
	return s.Update(func(state *store.State) error {
		state.ReleaseLeaks(live, asOf, store.LeakGrace)
		state.SetLeases(leases())
		return nil
	})
}
