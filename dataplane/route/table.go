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
	"net/netip"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/nl"
)

// kernel is what a Table needs of one: see nl.Conn.
type kernel interface {
	Scan(family uint8, start func() (visit func(*nl.Route))) error
	Send(n int, message func(i int, b []byte) []byte, refused func(i int, err error))
	Index(name string) (uint32, error)
	Links() ([]nl.Link, error)
}

// Table is the kernel's main table as far as it is ours. Its methods may be
// called by several goroutines, but two Applies with different wants would
// undo each other.
type Table struct {
	conn   *nl.Conn
	kernel kernel // conn, or in tests one that interrupts it
	// wanted are the routes of the last Apply, sorted, for Watch.
	wanted atomic.Pointer[[]dataplane.Route]
	// moved says that next hops may be on other links than their routes are.
	moved atomic.Bool
}

// Open opens the table of the calling thread's network namespace, for good.
func Open() (*Table, error) {
	conn, err := nl.Dial()
	if err != nil {
		return nil, err
	}
	t := &Table{conn: conn, kernel: conn}
	t.moved.Store(true) // nobody has watched until now
	return t, nil
}

// Close frees the socket. What is in the kernel stays.
func (t *Table) Close() error { return t.conn.Close() }

// Apply makes the kernel hold the wanted routes: it lists, compares, replaces
// and adds, and deletes what else is ours only if prune is true and the listing
// was complete. Then it reads back. One failed route stops no other. want stays in
// use until the next Apply: it must not be changed.
//
// A foreign route for a wanted prefix stays as it is, and the wanted one is
// reported as failed for as long as the kernel prefers the foreign one to it.
//
// The error is for what concerns no single wanted route: the listing, or a
// deletion. With nl.ErrInterrupted the result tells what was seen, and what is
// missing from it proves nothing; with any other error of a listing it is empty.
func (t *Table) Apply(want []dataplane.Route, prune bool) (dataplane.Result, error) {
	good, bad := dataplane.Sift(want)
	t.wanted.Store(&good)
	looks, err := t.look(good)
	if err != nil {
		return dataplane.Result{}, err
	}
	result := dataplane.Result{Seen: true, Failed: bad}
	var errs []error
	for _, l := range looks {
		l, refused, err := t.write(l, prune, bad)
		errs = append(errs, err)
		if l == nil {
			return dataplane.Result{}, errors.Join(errs...)
		}
		l.settle(&result, refused)
	}
	return result, errors.Join(errs...)
}

// write makes what a look calls for, and reads back; once more if something failed
// that may not fail again. It returns the last look, nil if there is none, and why
// wanted routes, by index, were refused.
func (t *Table) write(l *look, prune bool, spare map[netip.Prefix]error) (*look, map[int]error, error) {
	var w writer
	var err error
	for range 2 {
		w = writer{kernel: t.kernel, look: l, refused: map[int]error{}}
		if err = w.write(prune, spare); !w.sent {
			break
		}
		after := newLook(l.family, l.want, l.links)
		if listErr := after.list(t.kernel); listErr != nil {
			return nil, nil, errors.Join(err, listErr)
		}
		// What was not deleted on the word of an interrupted listing is to be
		// looked at again.
		after.partial = after.partial || l.partial && prune
		if l = after; !w.again {
			break
		}
	}
	if l.partial {
		err = errors.Join(err, nl.ErrInterrupted)
	}
	return l, w.refused, err
}

// Clean removes every route under both our protocol numbers from the main
// table: those of the agent and those of the plugin.
func (t *Table) Clean() error {
	var errs []error
	for _, family := range families() {
		var doomed []nl.Route
		err := t.kernel.Scan(family, func() func(*nl.Route) {
			doomed = doomed[:0]
			return func(r *nl.Route) {
				if r.Table == unix.RT_TABLE_MAIN && (r.Protocol == dataplane.ProtocolRoute || r.Protocol == dataplane.ProtocolPod) {
					doomed = append(doomed, r.Clone())
				}
			}
		})
		// What an interrupted listing holds may go: all of it is ours.
		if err != nil && !errors.Is(err, nl.ErrInterrupted) {
			return err
		}
		w := writer{kernel: t.kernel}
		errs = append(errs, w.remove(doomed))
	}
	return errors.Join(errs...)
}

// families are those of nl.Conn.Scan.
func families() [2]uint8 { return [...]uint8{unix.AF_INET, unix.AF_INET6} }

// wants says that the last Apply wanted a route for that prefix.
func (t *Table) wants(p netip.Prefix) bool {
	wanted := t.wanted.Load()
	if wanted == nil {
		return false
	}
	_, ok := dataplane.Find(*wanted, p)
	return ok
}

// look lists both families.
func (t *Table) look(want []dataplane.Route) (looks [2]*look, err error) {
	ways, err := t.lookUp(want)
	if err != nil {
		return looks, err
	}
	links := links{t.kernel, map[string]uint32{}, ways}
	v6, _ := dataplane.Find(want, netip.PrefixFrom(netip.IPv6Unspecified(), 0))
	for i, family := range families() {
		looks[i] = newLook(family, [...][]dataplane.Route{want[:v6], want[v6:]}[i], links)
		if err := looks[i].list(t.kernel); err != nil {
			return looks, err
		}
	}
	return looks, nil
}
