// Package nstest gives tests network namespaces of their own. Nothing is ever
// done in the caller's own.
//
// A namespace is held by an open file of the test process and by nothing else,
// so the kernel removes it, with all links, routes and rules in it, however the
// process ends: at the end of the test, by Ctrl-C, by SIGKILL. What a killed
// process leaves is a name that leads nowhere (a dangling link in Dir); the
// next New removes it.
package nstest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// Dir is where iproute2 and CNI runtimes look for named namespaces.
const Dir = "/run/netns"

// prefix starts every name.
const prefix = "flt-"

// NS is a named network namespace.
type NS struct {
	// Name is unique on the machine; ip(8) takes it (ip -n, netns). A path names a
	// namespace that is not in Dir.
	Name string
}

// Path of the namespace's file.
func (n NS) Path() string {
	if filepath.IsAbs(n.Name) {
		return n.Name
	}
	return filepath.Join(Dir, n.Name)
}

// New makes a named namespace with lo up. It needs root: without it the test is
// skipped, and in CI (CI=true) it fails.
func New(t testing.TB, role string) NS {
	t.Helper()
	requireRoot(t)
	ns, release, err := Make(role)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	ns.Run(t, "ip", "link", "set", "lo", "up")
	return ns
}

// Make is New for programs that are no test: without lo up, and gone with a
// call of release or with the process.
func Make(role string) (ns NS, release func(), err error) {
	sweep()
	suffix := make([]byte, 4)
	_, _ = rand.Read(suffix)
	ns = NS{Name: prefix + hex.EncodeToString(suffix) + "-" + role}
	holder, err := create()
	if err != nil {
		return NS{}, nil, fmt.Errorf("make namespace %s: %w", ns.Name, err)
	}
	if err := name(ns, holder); err != nil {
		return NS{}, nil, errors.Join(fmt.Errorf("name namespace %s: %w", ns.Name, err), holder.Close())
	}
	return ns, func() {
		_ = os.Remove(ns.Path())
		_ = holder.Close()
	}, nil
}

// create returns the open file that is all that holds the new namespace.
func create() (holder *os.File, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Never unlocked, so that the runtime ends the thread with the goroutine.
		runtime.LockOSThread()
		if err = unix.Unshare(unix.CLONE_NEWNET); err == nil {
			holder, err = os.Open("/proc/thread-self/ns/net")
		}
	}()
	<-done
	return holder, err
}

// name makes the namespace reachable by Path, for any process.
func name(ns NS, holder *os.File) error {
	if err := os.MkdirAll(Dir, 0o755); err != nil {
		return err
	}
	return os.Symlink(fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), holder.Fd()), ns.Path())
}

// sweep removes the names of namespaces that went with their test process.
func sweep() {
	names, _ := filepath.Glob(filepath.Join(Dir, prefix+"*"))
	for _, path := range names {
		if _, err := os.Stat(path); os.IsNotExist(err) {
			_ = os.Remove(path)
		}
	}
}

// Do runs f on a thread that is inside the namespace. f must not start
// goroutines that touch the network: they would run on other threads.
func (n NS) Do(t testing.TB, f func()) {
	t.Helper()
	if err := n.Inside(func() error { f(); return nil }); err != nil {
		t.Fatal(err)
	}
	if t.Failed() {
		t.FailNow()
	}
}

// Inside is Do for programs that are no test. Programs that f starts are inside
// too.
func (n NS) Inside(f func() error) error {
	done := make(chan error, 1)
	go func() {
		defer close(done) // also when f ends the goroutine by t.FailNow
		// Never unlocked, so that the runtime ends the thread with the goroutine.
		runtime.LockOSThread()
		if err := n.enter(); err != nil {
			done <- fmt.Errorf("enter namespace %s: %w", n.Name, err)
			return
		}
		done <- f()
	}()
	return <-done
}

// enter moves the calling thread into the namespace.
func (n NS) enter() error {
	f, err := os.Open(n.Path())
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Setns(int(f.Fd()), unix.CLONE_NEWNET)
}

// Run runs a command inside the namespace and returns its combined output; a
// failure ends the test.
func (n NS) Run(t testing.TB, name string, args ...string) string {
	t.Helper()
	// Not t.Context: it is done by the time of the test's cleanups.
	cmd := exec.CommandContext(context.Background(), "nsenter", append([]string{"--net=" + n.Path(), name}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %s %v: %v\n%s", n.Name, name, args, err, out)
	}
	return string(out)
}

func requireRoot(t testing.TB) {
	t.Helper()
	switch {
	case os.Geteuid() == 0:
	case os.Getenv("CI") == "true":
		t.Fatal("needs root to make a network namespace")
	default:
		t.Skip("needs root to make a network namespace")
	}
}
