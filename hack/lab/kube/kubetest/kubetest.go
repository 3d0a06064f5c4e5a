// Package kubetest gives a package's tests one real control plane, on loopback,
// with Fairlead's CRDs, roles and policy installed. It starts with the first
// test that asks for it, and is gone when the tests end, however they end.
//
//	func TestMain(m *testing.M) { kubetest.Main(m) }
//
//	func TestLease(t *testing.T) {
//		plane := kubetest.Shared(t)
//		...
//	}
package kubetest

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"

	"fairlead.dev/hack/lab/kube"
)

// shared is the package's control plane: a test binary has one.
var shared struct { //nolint:gochecknoglobals // TestMain has no other way to its tests
	sync.Mutex
	dir     string // set by Main
	started bool
	plane   *kube.ControlPlane
	err     error
}

// Main runs the package's tests, ends the control plane that they used, and
// exits. A test binary that panics or is killed never comes back here: its
// processes then die with it, and a guard removes the folder.
func Main(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) (code int) {
	dir, err := os.MkdirTemp("", "fairlead-kubetest-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "kubetest: make folder:", err)
		return 1
	}
	guard, err := startGuard(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, "kubetest:", err)
		return 1
	}
	defer guard.release()
	shared.dir = dir
	code = m.Run()
	if shared.plane != nil {
		if err := shared.plane.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "kubetest: stop control plane:", err)
			return 1
		}
	}
	return code
}

// Shared returns the package's control plane. Tests see the objects that others
// have left in it: each removes its own.
func Shared(t testing.TB) *kube.ControlPlane {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.dir == "" {
		t.Fatal("kubetest: the package's TestMain does not call kubetest.Main")
	}
	if !shared.started {
		shared.started = true
		shared.plane, shared.err = start(t.Context(), shared.dir)
	}
	if shared.err != nil {
		t.Fatalf("kubetest: %v", shared.err)
	}
	return shared.plane
}

func start(ctx context.Context, dir string) (*kube.ControlPlane, error) {
	plane, err := kube.Start(ctx, kube.Options{Dir: dir})
	if err != nil {
		return nil, err
	}
	return plane, kube.Install(ctx, plane.AdminConfig())
}

// Bare starts a control plane for one test, without anything of Fairlead's, and
// stops it at the test's end.
func Bare(t testing.TB) *kube.ControlPlane {
	t.Helper()
	plane, err := kube.Start(t.Context(), kube.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatalf("kubetest: %v", err)
	}
	t.Cleanup(func() {
		if err := plane.Stop(); err != nil {
			t.Errorf("kubetest: stop control plane: %v", err)
		}
	})
	return plane
}

// FreeAddress is one of loopback that nobody listens on.
func FreeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
