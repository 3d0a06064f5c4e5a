package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"fairlead.dev/cniplugin/install"
)

// lookInterval is how often the folders are looked at while the kernel lets nobody
// watch them.
const lookInterval = 2 * time.Second

// folders is a watch of the address store, and of the folder of the container
// runtime's configurations. It watches the folder around the store's own too: that
// tells at once of a store that is removed or made anew, however often.
type folders struct {
	store, conf string
	watcher     func() (*fsnotify.Watcher, error)
	inner       *fsnotify.Watcher // nil as long as the kernel refuses one
	log         *slog.Logger
}

// watchFolders makes the folder conf if there is none. All programs of a user share
// what the kernel gives for such watches, and on a full node there may be none left:
// then run looks every now and then instead, until there is.
func watchFolders(store, conf string, log *slog.Logger) (*folders, error) {
	if err := os.MkdirAll(conf, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of CNI configurations: %w", err)
	}
	f := &folders{store: store, conf: conf, watcher: fsnotify.NewWatcher, log: log}
	return f, f.begin()
}

func (f *folders) begin() error {
	err := f.open()
	if scarce(err) {
		f.log.Warn("no watch of folders is left, they are looked at instead: raise the sysctls fs.inotify.max_user_instances and max_user_watches",
			"interval", lookInterval, "err", err)
		return nil
	}
	return err
}

// scarce says that the user's programs have all the watches that they may have.
func scarce(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENOSPC)
}

func (f *folders) open() error {
	w, err := f.watcher()
	if err != nil {
		return fmt.Errorf("watch folders: %w", err)
	}
	for _, dir := range []string{filepath.Dir(f.store), f.store, f.conf} {
		if err := w.Add(dir); err != nil {
			return errors.Join(fmt.Errorf("watch folder %s: %w", dir, err), w.Close())
		}
	}
	f.inner = w
	return nil
}

// run wakes when the plugin has changed the store, or when our configuration, or one
// before it, may have changed, until ctx ends.
func (f *folders) run(ctx context.Context, wake func()) error {
	if !f.wait(ctx, wake) {
		return nil
	}
	defer f.inner.Close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.inner.Errors: // an overflowed queue: something changed
			_ = f.inner.Add(f.store) // which may be new; absent, it is made by the next sync
			wake()
		case e := <-f.inner.Events:
			if e.Name == f.store {
				_ = f.inner.Add(f.store) // gone again, or for good, it is made by the next sync
			}
			if f.matters(e) {
				wake()
			}
		}
	}
}

// wait wakes at intervals until there is a watch; false when ctx ends before.
func (f *folders) wait(ctx context.Context, wake func()) bool {
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for f.inner == nil {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
		if f.open() == nil {
			f.log.Info("folders are watched again")
		}
		wake() // after the watch began: nothing is missed in between
	}
	return true
}

func (f *folders) matters(e fsnotify.Event) bool {
	switch {
	case e.Name == f.store:
		return e.Has(fsnotify.Create) || e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename)
	case filepath.Dir(e.Name) == f.store: // a rename into place, or an end
		return e.Has(fsnotify.Create) || e.Has(fsnotify.Remove)
	case filepath.Dir(e.Name) == f.conf:
		return e.Op != fsnotify.Chmod && install.Matters(filepath.Base(e.Name))
	}
	return false
}
