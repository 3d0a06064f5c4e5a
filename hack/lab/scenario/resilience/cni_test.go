package resilience

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"fairlead.dev/hack/lab"
)

const (
	// crowd is how many pods start at once: with fewer than sixteen addresses left
	// the node would ask for another block, and keep it.
	crowd = 40
	// rounds are how often they start and end.
	rounds = 3
	// fewestKills that make the scenario one.
	fewestKills = 2
	// pings at once.
	pings = 8
)

// podsComeAndGo starts many pods at once and ends them again while the agent of
// their node is killed again and again. No address is given out twice, every pod
// is reached from the other rack, and nothing is left of them.
func (s *scene) podsComeAndGo(t *testing.T) {
	const node = "n1"
	before := s.settled(t, true)
	traffic := s.start(t, nil, pair{s.a, s.c}, pair{s.c, s.a})
	kills := s.keepKilling(t, node)
	for round := range rounds {
		pods := s.addAll(t, node, round)
		s.pingAll(t, pods)
		s.delAll(t, pods)
		if t.Failed() {
			break
		}
	}
	if n := kills(); n < fewestKills {
		t.Errorf("the agent was killed %d times only", n)
	} else {
		t.Logf("%d pods, %d times each, while the agent was killed %d times", crowd, rounds, n)
	}
	s.returns(t, before, true)
	traffic.stopWithoutLoss(t, "pods come and go")
}

// keepKilling kills the agent and starts it, until the function that it returns
// is called, which tells how often. Every other time the agent dies while it
// starts; then it may live until the routers have it back: they wait for it for
// no longer than the restart time.
func (s *scene) keepKilling(t *testing.T, node string) (stop func() int) {
	t.Helper()
	agent := s.agent(t, node)
	ctx, cancel := context.WithCancel(t.Context())
	kills, ended := 0, make(chan error, 1)
	restart := func() error {
		// Once begun it is finished: the agent must run in the end.
		if err := agent.Kill9(context.WithoutCancel(ctx)); err != nil {
			return err
		}
		kills++
		return agent.Start()
	}
	go func() {
		var err error
		for err == nil && ctx.Err() == nil {
			if err = restart(); err != nil {
				break
			}
			pause(ctx, tick)
			err = errors.Join(restart(), s.awaitSessions(ctx, node))
		}
		ended <- err
	}()
	stop = func() int {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("kill the agent of %s: %v", node, err)
		}
		ended <- nil // for the cleanup
		return kills
	}
	t.Cleanup(func() { stop() })
	return stop
}

func (s *scene) awaitSessions(ctx context.Context, node string) error {
	began := time.Now()
	for ctx.Err() == nil {
		err := s.sessionsUp(ctx, node)
		if err == nil || ctx.Err() != nil {
			return nil
		}
		if time.Since(began) > bound {
			return err
		}
		pause(ctx, tick)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (s *scene) addAll(t *testing.T, node string, round int) []lab.Pod {
	t.Helper()
	pods := make([]lab.Pod, crowd)
	var g errgroup.Group
	for i := range pods {
		g.Go(func() (err error) {
			pods[i], err = s.AddPod(t.Context(), node, fmt.Sprintf("crowd%d-%d", round, i))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	holders := map[netip.Addr]string{}
	for _, p := range append([]lab.Pod{s.a}, pods...) {
		if len(p.Addresses) != len(families()) {
			t.Errorf("%s has %v, want an address of each family", p.Name, p.Addresses)
		}
		for _, a := range p.Addresses {
			if holders[a] != "" {
				t.Errorf("%s is given to %s and to %s", a, holders[a], p.Name)
			}
			holders[a] = p.Name
		}
	}
	return pods
}

func (s *scene) pingAll(t *testing.T, pods []lab.Pod) {
	t.Helper()
	var g errgroup.Group
	g.SetLimit(pings)
	for _, p := range pods {
		for _, f := range families() {
			g.Go(func() error {
				loss, err := s.Ping(t.Context(), s.c.Role(), p.Address(f), 3)
				if err == nil && loss.Received == 0 {
					err = fmt.Errorf("%s answer of %s to %s: %v", f, p.Name, s.c.Name, loss)
				}
				return err
			})
		}
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

func (s *scene) delAll(t *testing.T, pods []lab.Pod) {
	t.Helper()
	var g errgroup.Group
	for _, p := range pods {
		g.Go(func() error { return s.DelPod(t.Context(), p.Name) })
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}
