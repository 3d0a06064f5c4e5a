package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"fairlead.dev/dataplane/nstest"
	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/cluster"
	"fairlead.dev/hack/lab/load"
)

// use is what a cluster's users have of it: requests that are answered, and routes
// that stay.
type use struct {
	s        *scene
	loads    map[string]*load.Load
	monitors []*lab.Monitor
	watched  []netip.Prefix
}

// use ends with the test, if it is not stopped before.
func (s *scene) use(t *testing.T) (context.Context, *use) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(cancel)
	return ctx, &use{s: s, loads: map[string]*load.Load{}}
}

// ask asks a server so often a second.
func (u *use) ask(ctx context.Context, what string, from nstest.NS, to netip.AddrPort, rate int) {
	u.loads[what] = load.Start(ctx, load.Options{From: from, URL: fmt.Sprintf("http://%s/hostname", to), Rate: rate})
}

// end stops one of the loads, which must have been answered.
func (u *use) end(t *testing.T, what string) {
	t.Helper()
	assertAnswered(t, "in all, "+what, u.loads[what].Stop())
	delete(u.loads, what)
}

// watch records what becomes of the routes to all blocks and some pods, in the
// kernels of all machines and routers.
func (u *use) watch(ctx context.Context, t *testing.T, pods []corev1.Pod) {
	t.Helper()
	u.watched = u.s.blocks(t)
	for _, pod := range pods {
		for _, a := range cluster.AddressesOf(pod) {
			u.watched = append(u.watched, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	var roles []string
	for _, m := range u.s.Machines() {
		roles = append(roles, m.Name)
	}
	for _, r := range u.s.Routers() {
		roles = append(roles, r.Name)
	}
	for _, role := range roles {
		m, err := u.s.StartMonitor(ctx, role)
		if err != nil {
			t.Fatal(err)
		}
		u.monitors = append(u.monitors, m)
	}
}

// well fails the test if a request has failed, or a route was deleted, until now.
func (u *use) well(t *testing.T, when string) {
	t.Helper()
	for what, l := range u.loads {
		assertAnswered(t, when+", "+what, l.Count())
	}
	for _, m := range u.monitors {
		for _, p := range u.watched {
			for _, line := range m.Deletions(p) {
				t.Errorf("%s: the kernel of %s: %s", when, m.Role, line)
			}
		}
	}
}

// stop ends the use, and looks at it for the last time.
func (u *use) stop(t *testing.T, when string) {
	t.Helper()
	u.well(t, when)
	for what := range u.loads {
		u.end(t, what)
	}
	for _, m := range u.monitors {
		if _, err := m.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func assertAnswered(t *testing.T, what string, c load.Count) {
	t.Helper()
	t.Logf("%s: %v", what, c)
	if c.Failures() > 0 || c.Answered == 0 {
		t.Errorf("%s: not all requests were answered: %v", what, c)
	}
}

// on is the pod that runs on a machine.
func on(t *testing.T, pods []corev1.Pod, machine string) corev1.Pod {
	t.Helper()
	i := slices.IndexFunc(pods, func(p corev1.Pod) bool { return p.Spec.NodeName == machine })
	if i < 0 {
		t.Fatalf("no pod runs on %s", machine)
	}
	return pods[i]
}

// first and last of the machines are in racks of their own. The last is the one
// that scenarios take away.
func (s *scene) first() string { return s.Machines()[0].Name }

func (s *scene) last() string { return s.Machines()[len(s.Machines())-1].Name }
