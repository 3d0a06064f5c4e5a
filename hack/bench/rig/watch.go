package rig

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane/nl"
	"fairlead.dev/dataplane/nstest"
)

// Watcher notes when routes of a namespace's main table come and go, as the
// kernel tells it. What the kernel could not tell, to a watcher too slow for it,
// is read again and noted with the time of that.
type Watcher struct {
	ns     nstest.NS
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	added   map[netip.Prefix]time.Time // the first addition since its last removal
	removed map[netip.Prefix]time.Time
	changed chan struct{} // closed and replaced at each change
	failed  error
}

// Watch returns when every later change will be noted. Close ends it.
func Watch(ns nstest.NS) (*Watcher, error) {
	m, err := subscribe(ns)
	if err != nil {
		return nil, fmt.Errorf("watch routes: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &Watcher{
		ns: ns, cancel: cancel, done: make(chan struct{}), changed: make(chan struct{}),
		added: map[netip.Prefix]time.Time{}, removed: map[netip.Prefix]time.Time{},
	}
	go func() {
		defer close(w.done)
		w.run(ctx, m)
	}()
	return w, nil
}

func subscribe(ns nstest.NS) (m *nl.Monitor, err error) {
	err = ns.Inside(func() (err error) {
		m, err = nl.Subscribe(unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE)
		return err
	})
	return m, err
}

// Close ends the watching.
func (w *Watcher) Close() {
	w.cancel()
	<-w.done
}

// run owns m.
func (w *Watcher) run(ctx context.Context, m *nl.Monitor) {
	defer func() {
		if m != nil {
			m.Close()
		}
	}()
	for {
		var now time.Time
		err := m.Receive(ctx, func(e nl.Event) {
			if now.IsZero() {
				now = time.Now()
			}
			w.note(e, now)
		})
		if errors.Is(err, nl.ErrOverrun) {
			m.Close()
			m, err = w.again()
		}
		if ctx.Err() != nil {
			return
		}
		w.mu.Lock()
		close(w.changed)
		w.changed = make(chan struct{})
		w.failed = errors.Join(w.failed, err)
		w.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// again subscribes anew, since a socket that has lost something tells of
// further losses only once it has been read to its end, and reads the routes.
func (w *Watcher) again() (*nl.Monitor, error) {
	m, err := subscribe(w.ns)
	if err != nil {
		return nil, err
	}
	return m, w.ns.Inside(w.reread)
}

func (w *Watcher) note(e nl.Event, now time.Time) {
	r, ok, err := nl.ParseRoute(e.Body)
	if err != nil || !ok || r.Table != unix.RT_TABLE_MAIN {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e.Type {
	case unix.RTM_NEWROUTE:
		if w.added[r.Prefix].IsZero() {
			w.added[r.Prefix] = now
		}
	case unix.RTM_DELROUTE:
		w.removed[r.Prefix] = now
		delete(w.added, r.Prefix)
	}
}

// reread notes what is there and is not, as of now.
func (w *Watcher) reread() error {
	c, err := nl.Dial()
	if err != nil {
		return err
	}
	defer c.Close()
	there := map[netip.Prefix]bool{}
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		routes, err := list(c, family)
		if err != nil {
			return err
		}
		for _, r := range routes {
			there[r.Prefix] = true
		}
	}
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	for p := range there {
		if w.added[p].IsZero() {
			w.added[p] = now
		}
	}
	for p := range w.added {
		if !there[p] {
			w.removed[p] = now
			delete(w.added, p)
		}
	}
	return nil
}

// listTries is how often a listing may be interrupted by changes.
const listTries = 1000

func list(c *nl.Conn, family uint8) (routes []nl.Route, err error) {
	for range listTries {
		routes, err = c.Routes(family, func(nl.Route) bool { return true })
		if !errors.Is(err, nl.ErrInterrupted) {
			break
		}
	}
	return routes, err
}

// Added waits until all prefixes have a route and returns when the last of them
// came.
func (w *Watcher) Added(ctx context.Context, bound time.Duration, prefixes ...netip.Prefix) (time.Time, error) {
	return w.wait(ctx, bound, "route to", w.added, prefixes)
}

// Removed waits until all prefixes have lost their route. It counts removals
// since Forget.
func (w *Watcher) Removed(ctx context.Context, bound time.Duration, prefixes ...netip.Prefix) (time.Time, error) {
	return w.wait(ctx, bound, "no route to", w.removed, prefixes)
}

// Forget forgets all that was noted.
func (w *Watcher) Forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.added)
	clear(w.removed)
}

func (w *Watcher) wait(ctx context.Context, bound time.Duration, what string, noted map[netip.Prefix]time.Time, prefixes []netip.Prefix) (time.Time, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, bound, fmt.Errorf("not within %v", bound))
	defer cancel()
	for {
		last, missing, changed, err := w.look(noted, prefixes)
		if err != nil {
			return last, fmt.Errorf("watch routes: %w", err)
		}
		if !missing.IsValid() {
			return last, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return last, fmt.Errorf("%s %s: %w", what, missing, context.Cause(ctx))
		}
	}
}

// look returns when the last of the prefixes was noted, or one that is missing
// and a channel that is closed at the next change.
func (w *Watcher) look(noted map[netip.Prefix]time.Time, prefixes []netip.Prefix) (last time.Time, missing netip.Prefix, changed chan struct{}, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range prefixes {
		at, ok := noted[p]
		if !ok {
			return last, p, w.changed, w.failed
		}
		if at.After(last) {
			last = at
		}
	}
	return last, netip.Prefix{}, nil, w.failed
}
