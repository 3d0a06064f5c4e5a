package lab

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead.dev/hack/lab/topology"
)

// requireRoot skips without root; in CI that is a failure.
func requireRoot(t *testing.T) {
	t.Helper()
	switch {
	case os.Geteuid() == 0:
	case os.Getenv("CI") == "true":
		t.Fatal("needs root to make network namespaces")
	default:
		t.Skip("needs root to make network namespaces")
	}
}

// upNetwork brings up namespaces and routers only.
func upNetwork(t *testing.T, topo topology.Topology) *Lab {
	t.Helper()
	requireRoot(t)
	l, err := Up(t.Context(), Options{
		NetworkOnly: true, Topology: &topo,
		OnPhase: func(phase string, took time.Duration) { t.Logf("%s: %v", phase, took) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return l
}

func TestNetwork(t *testing.T) {
	topo := topology.Default()
	topo.Outside = topology.Pair{V4: netip.MustParsePrefix("198.51.100.0/24"), V6: netip.MustParsePrefix("fd00:198:51:100::/64")}
	l := upNetwork(t, topo)
	t.Run("every node reaches every other", func(t *testing.T) { testNodesReachNodes(t, l) })
	t.Run("a host outside reaches every node", func(t *testing.T) { testOutside(t, l) })
	t.Run("ToRs drop ranges", func(t *testing.T) { testDropInUnderlay(t, l) })
	t.Run("routers hold the racks' subnets by several paths", func(t *testing.T) { testRackRoutes(t, l) })
	t.Run("a node comes and goes", func(t *testing.T) { testNodeComesAndGoes(t, l) })
	t.Run("a second lab of the name is refused", func(t *testing.T) {
		if _, err := Up(t.Context(), Options{Instance: l.Instance, NetworkOnly: true}); err == nil || !strings.Contains(err.Error(), "is up already") {
			t.Errorf("Up: %v", err)
		}
	})
	t.Run("routers survive kill", func(t *testing.T) { testRouterRestart(t, l) })
	t.Run("down leaves nothing", func(t *testing.T) { testDownLeavesNothing(t, l) })
}

func testNodesReachNodes(t *testing.T, l *Lab) {
	for _, from := range l.Nodes() {
		for _, to := range l.Nodes() {
			for _, f := range l.Topology().Families() {
				if loss, err := l.Ping(t.Context(), from.Name, to.Address(f), 2); err != nil || loss.Lost() != 0 {
					t.Errorf("%s to %s by %s: %v, %v", from.Name, to.Name, f, loss, err)
				}
			}
		}
	}
}

func testOutside(t *testing.T, l *Lab) {
	for _, n := range l.Nodes() {
		for _, f := range l.Topology().Families() {
			if loss, err := l.Ping(t.Context(), topology.RoleOutside, n.Address(f), 2); err != nil || loss.Lost() != 0 {
				t.Errorf("%s to %s: %v, %v", f, n.Name, loss, err)
			}
			if loss, err := l.Ping(t.Context(), n.Name, l.Topology().OutsideAddress(f), 2); err != nil || loss.Lost() != 0 {
				t.Errorf("%s from %s: %v, %v", f, n.Name, loss, err)
			}
		}
	}
}

// testDropInUnderlay drops a whole rack's addresses: its nodes reach each other and
// nobody else.
func testDropInUnderlay(t *testing.T, l *Lab) {
	subnet := l.Topology().Racks[0].Subnet
	if err := l.DropInUnderlay(t.Context(), subnet.V4, subnet.V6); err != nil {
		t.Fatal(err)
	}
	received := func(to string) int {
		t.Helper()
		sum := 0
		for _, f := range l.Topology().Families() {
			loss, err := l.Ping(t.Context(), "n1", l.Node(to).Address(f), 2)
			if err != nil {
				t.Error(err)
			}
			sum += loss.Received
		}
		return sum
	}
	if near, far := received("n2"), received("n3"); near != 4 || far != 0 {
		t.Errorf("of 4 packets each, %d came to the same rack and %d to the other, want 4 and 0", near, far)
	}
	if err := l.UndropInUnderlay(t.Context()); err != nil {
		t.Fatal(err)
	}
	if far := received("n3"); far != 4 {
		t.Errorf("%d of 4 packets came to the other rack afterwards", far)
	}
}

func testRackRoutes(t *testing.T, l *Lab) {
	for _, r := range l.Routers() {
		for _, rack := range l.Topology().Racks {
			for _, f := range l.Topology().Families() {
				route, err := r.Route(t.Context(), rack.Subnet.Of(f))
				if err != nil {
					t.Fatal(err)
				}
				if strings.HasPrefix(r.Name, rack.Name) && r.Daemon == topology.BIRD {
					continue // its own segment: a direct route, not in BGP
				}
				if len(route.Paths) == 0 {
					t.Errorf("%s has no route to %s", r.Name, rack.Subnet.Of(f))
				}
			}
		}
	}
	r2 := l.Topology().Racks[1].Subnet.V4
	for _, tor := range []string{"r1-tor1", "r1-tor2"} {
		route, err := l.Router(tor).Route(t.Context(), r2)
		if err != nil {
			t.Fatal(err)
		}
		if hops := route.NextHops(); len(hops) != 2 {
			t.Errorf("%s reaches %s by %v, want both spines", tor, r2, hops)
		}
		kernel, err := l.KernelRoutes(t.Context(), tor, topology.V4)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(kernel, func(k KernelRoute) bool { return k.Prefix == r2 })
		if i < 0 || len(kernel[i].NextHops) != 2 {
			t.Errorf("the kernel of %s has no two next hops for %s", tor, r2)
		}
	}
}

func testNodeComesAndGoes(t *testing.T, l *Lab) {
	n, err := l.AddNode(t.Context(), "r2", "n5")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range l.Topology().Families() {
		if loss, err := l.Ping(t.Context(), "n1", n.Address(f), 2); err != nil || loss.Lost() != 0 {
			t.Errorf("n1 to n5 by %s: %v, %v", f, loss, err)
		}
	}
	if _, err := l.AddNode(t.Context(), "r2", "n5"); err == nil {
		t.Error("a second n5 was accepted")
	}
	if err := l.RemoveNode(t.Context(), "n5"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(nsPath(l.NSName("n5"))); err == nil {
		t.Error("n5's namespace is still there")
	}
	if err := l.RemoveNode(t.Context(), "n5"); err == nil {
		t.Error("n5 was removed twice")
	}
}

func testRouterRestart(t *testing.T, l *Lab) {
	// A killed FRR daemon leaves a folder, which must be inside the lab.
	if folders, err := filepath.Glob(l.Router("r1-tor1").file("tmp/frr/zebra.*")); err != nil || len(folders) != 1 {
		t.Errorf("folders that zebra made in its /var/tmp: %v, %v", folders, err)
	}
	for _, name := range []string{"r1-tor1", "r1-tor2"} {
		if err := l.Router(name).Kill9(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := l.Router(name).Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.WaitFabric(t.Context()); err != nil {
		t.Error(err)
	}
	if err := l.Dead(); err != nil {
		t.Errorf("wanted ends are reported as deaths: %v", err)
	}
}

func testDownLeavesNothing(t *testing.T, l *Lab) {
	var pids []int
	for _, p := range l.Processes() {
		pids = append(pids, p.Pid)
	}
	// A process in a namespace that the lab knows nothing of, as after a crash.
	stray, err := l.processes.start("stray", nil, enter(l.NSName("n1"), "sleep", "600")...)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.processes.forget(stray); err != nil {
		t.Fatal(err)
	}
	stray.mu.Lock()
	stray.Ending = true
	stray.mu.Unlock()
	if err := l.Down(context.Background()); err != nil {
		t.Fatal(err)
	}
	assertNothingLeft(t, l, append(pids, stray.Pid))
	if err := l.Down(context.Background()); err != nil {
		t.Errorf("a second Down: %v", err)
	}
}

func assertNothingLeft(t *testing.T, l *Lab, pids []int) {
	t.Helper()
	if names, err := l.namespaces(); err != nil || len(names) != 0 {
		t.Errorf("namespaces left: %v, %v", names, err)
	}
	if _, err := os.Stat(l.dir); !os.IsNotExist(err) {
		t.Errorf("folder %s is left", l.dir)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), l.dir) {
		t.Errorf("a mount on %s is left", l.dir)
	}
	for _, pid := range pids {
		if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && strings.Contains(string(line), l.Instance) {
			t.Errorf("process %d is left: %q", pid, line)
		}
	}
}

func TestOneFamily(t *testing.T) {
	for _, f := range []topology.Family{topology.V4, topology.V6} {
		t.Run(f.String(), func(t *testing.T) {
			l := upNetwork(t, topology.Default().Only(f))
			if loss, err := l.Ping(t.Context(), "n1", l.Node("n4").Address(f), 2); err != nil || loss.Lost() != 0 {
				t.Errorf("n1 to n4: %v, %v", loss, err)
			}
			if a := l.Node("n1").Address(10 - f); a != (netip.Addr{}) {
				t.Errorf("n1 has %s", a)
			}
		})
	}
}

func TestFailedUpLeavesNothing(t *testing.T) {
	requireRoot(t)
	ctx, cancel := context.WithCancel(t.Context())
	instance := randomName()
	_, err := Up(ctx, Options{Instance: instance, NetworkOnly: true, OnPhase: func(string, time.Duration) { cancel() }})
	if err == nil {
		t.Fatal("Up succeeded though it was cancelled")
	}
	assertNothingLeft(t, &Lab{Instance: instance, dir: filepath.Join(BaseDir, instance)}, nil)
}
