package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"fairlead.dev/dataplane/nstest"
	"fairlead.dev/hack/lab/labtest"
)

const bound = 20 * time.Second

func TestRSS(t *testing.T) {
	got, err := rss("55a5-7ffd ---p 00000000 00:00 0    [rollup]\nRss:                2348 kB\nPss:                 456 kB\n")
	if err != nil || got != 2348 {
		t.Errorf("got %d, %v", got, err)
	}
	if _, err := rss("Pss: 1 kB\n"); err == nil {
		t.Error("a text without Rss has one")
	}
	one, err := RSS(os.Getpid())
	if err != nil || one < 1 || one > 4096 {
		t.Errorf("we have %v MiB, %v", one, err)
	}
	two, err := RSS(os.Getpid(), os.Getpid())
	if err != nil || two < 1.5*one {
		t.Errorf("two processes of %v MiB have %v, %v", one, two, err)
	}
	if _, err := RSS(1 << 30); err == nil {
		t.Error("no process has memory")
	}
}

func TestWait(t *testing.T) {
	tries := 0
	err := Wait(t.Context(), bound, time.Microsecond, "three tries", func() error {
		if tries++; tries < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	if err != nil || tries != 3 {
		t.Errorf("%d tries, %v", tries, err)
	}
	never := errors.New("never")
	err = Wait(t.Context(), time.Millisecond, time.Microsecond, "what cannot be", func() error { return never })
	if !errors.Is(err, never) || !strings.Contains(err.Error(), "what cannot be") || !strings.Contains(err.Error(), "not within 1ms") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Wait(ctx, bound, time.Hour, "x", func() error { return never }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestScratchSpace(t *testing.T) {
	labtest.Root(t)
	// No process has this number, see proc(5) of pid_max.
	dead := filepath.Join(tmpfs, "fairlead-bench-99999999-1")
	foreign := filepath.Join(tmpfs, "fairlead-bench-not-a-number")
	for _, dir := range []string{dead, foreign} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
	}
	r, err := New("/some/where", Full(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	second, err := New("", Full(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]bool{dead: false, foreign: true, r.Dir: true, second.Dir: true} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s: there is %v, want %v", dir, err == nil, want)
		}
	}
	if bin, err := r.Bin(t.Context()); err != nil || bin != "/some/where" {
		t.Errorf("programs in %q, %v", bin, err)
	}
	for _, r := range []*Rig{r, second} {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(r.Dir); err == nil {
			t.Errorf("%s is left", r.Dir)
		}
	}
}

func TestRunIsInside(t *testing.T) {
	ns := nstest.New(t, "run")
	out, err := Run(t.Context(), ns, "ip", "-brief", "link")
	if err != nil || !strings.HasPrefix(out, "lo") || strings.Count(out, "\n") != 1 {
		t.Errorf("got %q, %v", out, err)
	}
	_, err = Run(t.Context(), ns, "ip", "link", "show", "nothing")
	if err == nil || !strings.Contains(err.Error(), "ip link show nothing") || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("got %v", err)
	}
}

func TestNamespaceIsARouters(t *testing.T) {
	labtest.Root(t)
	ns, release, err := Namespace(t.Context(), "router")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := Run(t.Context(), ns, "sysctl", "-n", "net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"); err != nil || out != "1\n1\n" {
		t.Errorf("forwarding is %q, %v", out, err)
	}
	release()
	if _, err := os.Stat(ns.Path()); err == nil {
		t.Error("it is left")
	}
}

func TestDaemon(t *testing.T) {
	ns := nstest.New(t, "daemon")
	d, err := Start(ns, []string{"GREETING=hello"}, nil, nil, "sh", "-c", `echo "$GREETING" >&2; exec sleep 600`)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Kill)
	if err := d.Alive(); err != nil {
		t.Error(err)
	}
	// Not /proc/self, which is the main thread: that may be the one inside.
	inside, err := os.Stat("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	there, err := os.Stat(filepath.Join("/proc", strconv.Itoa(d.cmd.Process.Pid), "ns/net"))
	if err != nil || os.SameFile(inside, there) {
		t.Errorf("the daemon is in our namespace, %v", err)
	}
	err = Wait(t.Context(), bound, time.Millisecond, "greeting", func() error {
		if !strings.Contains(d.said.String(), "hello") {
			return errors.New("nothing said")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	d.Kill()
	if err := d.Alive(); err == nil || !strings.Contains(err.Error(), "sh has ended: hello") {
		t.Errorf("after its end: %v", err)
	}
	if _, err := Start(ns, nil, nil, nil, "/no/such/program"); err == nil {
		t.Error("nothing was started")
	}
	if _, err := Start(nstest.NS{Name: "none"}, nil, nil, nil, "true"); err == nil {
		t.Error("started in no namespace")
	}
}

func TestWatcher(t *testing.T) {
	ns := nstest.New(t, "watch")
	w, err := Watch(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	a, b := netip.MustParsePrefix("10.1.0.0/26"), netip.MustParsePrefix("fd00::/122")
	change := func(verb string, p netip.Prefix) (before, after time.Time) {
		t.Helper()
		before = time.Now()
		if _, err := Run(t.Context(), ns, "ip", "route", verb, "blackhole", p.String()); err != nil {
			t.Fatal(err)
		}
		return before, time.Now()
	}
	change("add", a)
	before, _ := change("add", b)
	at, err := w.Added(t.Context(), bound, a, b)
	if err != nil || at.Before(before) {
		t.Errorf("the last was added at %v, %v", at, err)
	}
	first, err := w.Added(t.Context(), bound, a)
	if err != nil || !first.Before(at) {
		t.Errorf("the first was added at %v, %v", first, err)
	}
	// A change of a route that is there is not its coming.
	if _, err := Run(t.Context(), ns, "ip", "route", "replace", "unreachable", a.String()); err != nil {
		t.Fatal(err)
	}
	if again, err := w.Added(t.Context(), bound, a); err != nil || !again.Equal(first) {
		t.Errorf("after a replacement it was added at %v, %v", again, err)
	}
	if _, err := w.Removed(t.Context(), time.Millisecond, a); err == nil || !strings.Contains(err.Error(), "no route to 10.1.0.0/26: not within 1ms") {
		t.Errorf("removed: %v", err)
	}
	before, _ = change("del", b)
	if at, err := w.Removed(t.Context(), bound, b); err != nil || at.Before(before) {
		t.Errorf("removed at %v, %v", at, err)
	}
	if _, err := w.Added(t.Context(), time.Millisecond, b); err == nil {
		t.Error("a route that is gone is there")
	}
	w.Forget()
	if _, err := w.Removed(t.Context(), time.Millisecond, b); err == nil {
		t.Error("what was forgotten is there")
	}
}

// A burst of changes that the kernel has no room to tell of is noted all the same.
func TestWatcherOverrun(t *testing.T) {
	ns := nstest.New(t, "overrun")
	w, err := Watch(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var batch strings.Builder
	var prefixes []netip.Prefix
	for i := range 20_000 {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24)
		prefixes = append(prefixes, p)
		fmt.Fprintf(&batch, "route add blackhole %s\n", p)
	}
	file := filepath.Join(t.TempDir(), "batch")
	w.mu.Lock() // it cannot note, so it does not read
	err = os.WriteFile(file, []byte(batch.String()), 0o600)
	if err == nil {
		_, err = Run(t.Context(), ns, "ip", "-batch", file)
	}
	w.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Added(t.Context(), bound, prefixes...); err != nil {
		t.Error(err)
	}
	w.mu.Lock()
	_, err = Run(t.Context(), ns, "ip", "route", "flush", "type", "blackhole")
	w.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Removed(t.Context(), bound, prefixes...); err != nil {
		t.Error(err)
	}
}
