package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"

	"fairlead.dev/cniplugin/install"
	"fairlead.dev/cniplugin/store"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func makeStore(t *testing.T, dir string) *store.Store {
	t.Helper()
	s, _, err := store.Create(dir, nil, store.Stamp{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func change(s *store.State) error { s.CooldownWaived++; return nil }

// quiet waits until nothing has woken for a while.
func quiet(t *testing.T, woken <-chan struct{}) {
	t.Helper()
	bound := time.After(10 * time.Second)
	for {
		select {
		case <-woken:
		case <-time.After(100 * time.Millisecond):
			return
		case <-bound:
			t.Fatal("woken again and again")
		}
	}
}

// watching runs a watch until the end of the test and returns its wakes.
func watching(t *testing.T, w *folders) <-chan struct{} {
	t.Helper()
	woken := make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- w.run(ctx, func() {
			select {
			case woken <- struct{}{}:
			default:
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return woken
}

func TestStoreWatch(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s := makeStore(t, dir)
	w, err := watchFolders(dir, t.TempDir(), discard())
	if err != nil {
		t.Fatal(err)
	}
	woken := watching(t, w)

	if err := s.Update(change); err != nil {
		t.Fatal(err)
	}
	awaken(t, woken, "a change")

	// The store goes: the agent is told, and makes it anew. Each time.
	remove := func() error { return os.RemoveAll(dir) }
	moveAway := func() error { return os.Rename(dir, filepath.Join(t.TempDir(), "store")) }
	for _, end := range []func() error{remove, remove, moveAway, remove} {
		if err := end(); err != nil {
			t.Fatal(err)
		}
		awaken(t, woken, "the end of the store")
		s = makeStore(t, dir)
		quiet(t, woken)
		if err := s.Update(change); err != nil {
			t.Fatal(err)
		}
		awaken(t, woken, "a change of the new store")
	}
}

// A read is no change: the agent's own look at the store must not wake it.
func TestStoreWatchSleepsThroughReads(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s := makeStore(t, dir)
	w, err := watchFolders(dir, t.TempDir(), discard())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := os.WriteFile(filepath.Join(filepath.Dir(dir), "agent.sock"), nil, 0o600); err != nil {
		t.Fatal(err) // what else is in the folder around it is nothing to it either
	}
	for range 10 {
		if _, err := s.Read(); err != nil {
			t.Fatal(err)
		}
		if err := s.Update(func(*store.State) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.run(ctx, func() { t.Error("woken by a read") }); err != nil {
		t.Error(err)
	}
}

func TestStoreWatchWithoutAStore(t *testing.T) {
	if _, err := watchFolders(filepath.Join(t.TempDir(), "none"), t.TempDir(), discard()); err == nil {
		t.Error("no error")
	}
}

// What matters is ours, and what comes before it by name; the folder is made.
func TestConfWatch(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "etc", "net.d")
	w, err := watchFolders(t.TempDir(), dir, discard())
	if err != nil {
		t.Fatal(err)
	}
	woken := watching(t, w)
	ours, theirs := filepath.Join(dir, install.ConfName), filepath.Join(dir, "05-other.conflist")
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"a new configuration before ours", func() error { return os.WriteFile(theirs, []byte("{}"), 0o600) }},
		{"its end", func() error { return os.Remove(theirs) }},
		{"ours", func() error { return os.WriteFile(ours, []byte("{}"), 0o600) }},
		{"a change of ours", func() error { return os.WriteFile(ours, []byte("{ }"), 0o600) }},
		{"its end by another name", func() error { return os.Rename(ours, ours+".bak") }},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		awaken(t, woken, step.what)
		quiet(t, woken)
	}
	for _, name := range []string{"99-other.conflist", "readme"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-woken:
		t.Error("woken by what a runtime does not take instead of ours")
	case <-time.After(200 * time.Millisecond):
	}
}

// Where the kernel gives no watch the folders are looked at, until it gives one: an
// agent that ended instead would leave the node without a network.
func TestFoldersWithoutAWatch(t *testing.T) {
	for _, scarce := range []error{syscall.EMFILE, syscall.ENOSPC} {
		synctest.Test(t, func(t *testing.T) {
			refusals := 4
			f := &folders{store: filepath.Join(t.TempDir(), "store"), conf: t.TempDir(), log: discard()}
			f.watcher = func() (*fsnotify.Watcher, error) {
				if refusals--; refusals >= 0 {
					return nil, os.NewSyscallError("inotify_init1", scarce)
				}
				return fsnotify.NewWatcher()
			}
			makeStore(t, f.store)
			if err := f.begin(); err != nil {
				t.Fatalf("the agent ends: %v", err)
			}
			wakes, start := 0, time.Now()
			if !f.wait(t.Context(), func() { wakes++ }) {
				t.Fatal("given up")
			}
			defer f.inner.Close()
			if wakes != 4 || time.Since(start) != 4*lookInterval {
				t.Errorf("looked %d times in %s, want 4 in %s", wakes, time.Since(start), 4*lookInterval)
			}
		})
	}
}
