package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/fsnotify/fsnotify"

	"fairlead.dev/cniplugin/install"
	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/host"
	"fairlead.dev/dataplane/link"
)

// links is the node.Links of this network namespace.
type links struct {
	*link.Node
	// sysctls is the folder of all sysctls, kept the file with those from before.
	sysctls, kept string
}

// Prepare also sees to the links of pods: systemd-udevd has settings of its own for
// every new link.
func (l links) Prepare() error {
	return errors.Join(host.Prepare(l.sysctls, l.kept), l.Mend(l.sysctls))
}

func (links) Addresses() ([]netip.Prefix, error) { return host.Addresses() }

func (links) Candidates(r dataplane.AddressRule) ([]netip.Addr, error) { return host.Candidates(r) }

// wakeOn wakes at each value of changes until ctx ends. That what gives the
// changes ends before is an error: the agent would be deaf from then on.
func wakeOn(ctx context.Context, what string, changes <-chan struct{}, wake func()) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-changes:
			if ctx.Err() != nil {
				return nil
			}
			if !ok {
				return fmt.Errorf("watch %s: the watch has ended", what)
			}
			wake()
		}
	}
}

// storeWatch is a watch of the address store, from openWatch on. It watches the
// folder around the store's own too: that tells at once of a store that is
// removed or made anew, however often.
type storeWatch struct {
	dir   string
	inner *fsnotify.Watcher
}

func openWatch(dir string) (*storeWatch, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch the address store: %w", err)
	}
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := w.Add(d); err != nil {
			return nil, errors.Join(fmt.Errorf("watch the address store: %w", err), w.Close())
		}
	}
	return &storeWatch{dir, w}, nil
}

// run wakes when the plugin has changed the store, until ctx ends.
func (s *storeWatch) run(ctx context.Context, wake func()) error {
	w := s.inner
	defer w.Close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.Errors: // an overflowed queue: something changed
			_ = w.Add(s.dir) // which may be new; absent, it is made by the next sync
			wake()
		case e := <-w.Events:
			switch {
			case e.Name == s.dir && (e.Has(fsnotify.Create) || e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename)):
				_ = w.Add(s.dir) // gone again, or for good, it is made by the next sync
				wake()
			case filepath.Dir(e.Name) == s.dir && (e.Has(fsnotify.Create) || e.Has(fsnotify.Remove)): // a rename into place, or an end
				wake()
			}
		}
	}
}

// watchConf watches the folder of the container runtime's configurations, which
// it makes if there is none.
func watchConf(dir string) (*fsnotify.Watcher, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of CNI configurations: %w", err)
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch CNI configurations: %w", err)
	}
	if err := w.Add(dir); err != nil {
		return nil, errors.Join(fmt.Errorf("watch CNI configurations: %w", err), w.Close())
	}
	return w, nil
}

// wakeOnConf wakes when our configuration, or one before it, may have changed,
// until ctx ends.
func wakeOnConf(ctx context.Context, w *fsnotify.Watcher, wake func()) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.Errors: // an overflowed queue: something changed
			wake()
		case e := <-w.Events:
			if e.Op != fsnotify.Chmod && install.Matters(filepath.Base(e.Name)) {
				wake()
			}
		}
	}
}
