// Package route owns the agent's routes in the kernel: those of the main table
// with the protocol number dataplane.ProtocolRoute.
//
// Invariants: a route of anyone else is never changed or removed; a wanted
// prefix that has a route of ours is never without one in between; nothing is
// deleted after a listing that may be incomplete; what is reported as installed
// was read back from the kernel.
package route

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/nl"
)

// kernel is what a Table needs of one. Errors of Routes that are
// nl.ErrInterrupted come with the routes that were seen.
type kernel interface {
	Routes(family uint8, keep func(nl.Route) bool) ([]nl.Route, error)
	Links() ([]nl.Link, error)
	Batch(msgs []nl.Message) []error
}

// Table is the kernel's main table as far as it is ours. Its methods may be
// called by several goroutines, but two Applies with different wants would
// undo each other.
type Table struct {
	conn   *nl.Conn
	kernel kernel // conn, or in tests one that interrupts it
	// wanted are the prefixes of the last Apply, for Watch.
	wanted atomic.Pointer[map[netip.Prefix]bool]
}

// Open opens the table of the calling thread's network namespace, for good.
func Open() (*Table, error) {
	conn, err := nl.Dial()
	if err != nil {
		return nil, err
	}
	return &Table{conn: conn, kernel: conn}, nil
}

// Close frees the socket. What is in the kernel stays.
func (t *Table) Close() error { return t.conn.Close() }

// List returns our routes, sorted by prefix, each prefix once. A prefix that
// ours hold in a way that Apply would repair is told as dataplane.Unknown. With
// an error that is nl.ErrInterrupted come the routes that were seen.
func (t *Table) List() ([]dataplane.Route, error) {
	s, err := t.survey(nil)
	return s.ours(), err
}

// Apply makes the kernel hold the wanted routes: it lists, compares, replaces
// and adds, and deletes what else is ours only if prune is true and the listing
// was complete. Then it reads back. One failed route stops no other.
//
// A foreign route for a wanted prefix stays as it is, and the wanted one is
// reported as failed for as long as the kernel prefers the foreign one to it.
//
// The error is for what concerns no single wanted route: the listing, or a
// deletion. With nl.ErrInterrupted the result tells what was seen, and what is
// missing from it proves nothing; with any other error of a listing it is empty.
func (t *Table) Apply(want []dataplane.Route, prune bool) (dataplane.Result, error) {
	good, bad := dataplane.Sift(want)
	wanted := prefixes(good)
	t.wanted.Store(&wanted)
	before, err := t.survey(good)
	if err != nil && !errors.Is(err, nl.ErrInterrupted) {
		return dataplane.Result{}, err
	}
	ops := dataplane.Diff(good, before.ours())
	ops.Delete = slices.DeleteFunc(ops.Delete, func(r dataplane.Route) bool {
		return !prune || bad[r.Prefix] != nil // a bad wish is no wish to be rid of it
	})
	w := writer{kernel: t.kernel, survey: before, partial: err != nil, refused: map[netip.Prefix]error{}}
	deleteErr := w.write(ops)
	after := before
	if w.sent {
		if after, err = t.survey(good); err != nil && !errors.Is(err, nl.ErrInterrupted) {
			return dataplane.Result{}, errors.Join(err, deleteErr)
		}
	}
	result := after.settle(good, w.refused)
	maps.Copy(result.Failed, bad)
	result.Surplus = dataplane.Surplus(want, after.ours())
	return result, errors.Join(err, deleteErr)
}

// Clean removes every route under both our protocol numbers from the main
// table: those of the agent and those of the plugin.
func (t *Table) Clean() error {
	var doomed []nl.Route
	for _, family := range families() {
		routes, err := t.kernel.Routes(family, func(r nl.Route) bool {
			return r.Protocol == dataplane.ProtocolRoute || r.Protocol == dataplane.ProtocolPod
		})
		// What an interrupted listing holds may go: all of it is ours.
		if err != nil && !errors.Is(err, nl.ErrInterrupted) {
			return err
		}
		doomed = append(doomed, routes...)
	}
	w := writer{kernel: t.kernel}
	return w.remove(doomed)
}

// families are those of nl.Conn.Routes.
func families() [2]uint8 { return [...]uint8{unix.AF_INET, unix.AF_INET6} }

func prefixes(rs []dataplane.Route) map[netip.Prefix]bool {
	out := make(map[netip.Prefix]bool, len(rs))
	for _, r := range rs {
		out[r.Prefix] = true
	}
	return out
}

func (t *Table) wants(p netip.Prefix) bool {
	wanted := t.wanted.Load()
	return wanted != nil && (*wanted)[p]
}

// survey lists what is ours, and what is in the way of the wanted routes.
func (t *Table) survey(want []dataplane.Route) (*survey, error) {
	wanted := prefixes(want)
	s := &survey{slots: map[netip.Prefix]*slot{}}
	var interrupted error
	for _, family := range families() {
		routes, err := t.kernel.Routes(family, func(r nl.Route) bool {
			return r.Protocol == dataplane.ProtocolRoute || (wanted[r.Prefix] && rivals(r))
		})
		switch {
		case errors.Is(err, nl.ErrInterrupted):
			interrupted = err
		case err != nil:
			return &survey{}, err
		}
		for _, r := range routes {
			s.add(r)
		}
	}
	links, err := t.links(want, s)
	s.links = links
	return s, errors.Join(interrupted, err)
}
