// Package fake holds the agent's routes in memory, with the method set and the
// behaviour of dataplane/route: one contract test runs against both.
package fake

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"fairlead.dev/dataplane"
)

// Table is a route table without a kernel. Its zero value is ready and empty.
type Table struct {
	mu       sync.Mutex
	routes   map[netip.Prefix]dataplane.Route // guarded by mu
	refused  map[netip.Prefix]error           // guarded by mu
	dumpErr  error                            // guarded by mu
	watchers map[chan struct{}]struct{}       // guarded by mu
}

// Refuse makes every later write of the prefix fail with err; nil lets it pass
// again, and says so to the watchers, as the kernel does of a link that came.
// What is there stays there.
func (t *Table) Refuse(p netip.Prefix, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.refused == nil {
		t.refused = map[netip.Prefix]error{}
	}
	t.refused[p] = err
	if err == nil {
		t.tell()
	}
}

// RefuseDump makes every later List and Apply fail with err, untouched; nil
// lets them pass again.
func (t *Table) RefuseDump(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dumpErr = err
}

// Drop removes a prefix behind the agent's back, and says so to its watchers.
func (t *Table) Drop(p netip.Prefix) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.routes, p)
	t.tell()
}

func (t *Table) tell() {
	for ch := range t.watchers {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// List is dataplane/route's Table.List.
func (t *Table) List() ([]dataplane.Route, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dumpErr != nil {
		return nil, t.dumpErr
	}
	return t.list(), nil
}

func (t *Table) list() []dataplane.Route {
	rs := slices.Collect(maps.Values(t.routes))
	dataplane.SortRoutes(rs)
	return rs
}

// Apply is dataplane/route's Table.Apply.
func (t *Table) Apply(want []dataplane.Route, prune bool) (dataplane.Result, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dumpErr != nil {
		return dataplane.Result{}, t.dumpErr
	}
	good, failed := dataplane.Sift(want)
	result := dataplane.Result{Seen: true, Failed: failed}
	if t.routes == nil {
		t.routes = map[netip.Prefix]dataplane.Route{}
	}
	for _, r := range good {
		if old, ok := t.routes[r.Prefix]; ok && old.Equal(r) {
			continue
		}
		if err := t.refused[r.Prefix]; err != nil {
			failed[r.Prefix] = fmt.Errorf("route %s: %w", r, err)
			continue
		}
		t.routes[r.Prefix] = r
	}
	for _, r := range t.list() {
		_, wanted := dataplane.Find(good, r.Prefix)
		switch {
		case wanted || failed[r.Prefix] != nil:
		case prune:
			delete(t.routes, r.Prefix)
		default:
			result.Surplus = append(result.Surplus, r.Prefix)
		}
	}
	return result, nil
}

// Watch is dataplane/route's Table.Watch: it tells of Drop.
func (t *Table) Watch(ctx context.Context) (<-chan struct{}, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	ch := make(chan struct{}, 1)
	if t.watchers == nil {
		t.watchers = map[chan struct{}]struct{}{}
	}
	t.watchers[ch] = struct{}{}
	context.AfterFunc(ctx, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.watchers, ch)
		close(ch)
	})
	return ch, nil
}

// Clean is dataplane/route's Table.Clean.
func (t *Table) Clean() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.routes)
	return nil
}

// Close is dataplane/route's Table.Close.
func (t *Table) Close() error { return nil }
