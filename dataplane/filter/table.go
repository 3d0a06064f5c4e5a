// Package filter owns one nft table, inet fairlead: the translation of packets
// that leave the pools, and the source checks on the links of pods. Nothing
// outside this table is read for longer than it takes to pass over it, and
// nothing outside it is ever changed.
//
// Invariants: the table is there from the first Apply on, with the source checks,
// whatever is to be translated; every change is one transaction, so that no
// packet ever meets half of the rules, and what varies are the elements of sets
// (one rule for all pools); what Apply returns nil for was read back from the
// kernel. Rules are compared as the kernel holds them, so a change by anyone is
// found, whatever it is, and mended.
//
// It speaks netlink: no nft program is needed.
package filter

import (
	"errors"
	"fmt"
	"sync"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
)

// ErrUnsupported says that the kernel has no nf_tables, or not all that the table
// is made of.
var ErrUnsupported = errors.New("the kernel has not what nft table inet " + Name + " needs (nf_tables; nft_fib_inet, nft_ct, nft_nat, nft_masq)")

// Table is the node's table. Its methods may be called from any goroutine; its
// sockets are of the network namespace of the thread that opened it.
type Table struct {
	mu   sync.Mutex
	conn *nftables.Conn
	// self is the socket of our own changes.
	self uint32
}

// sendBuffer takes the largest transaction whole; a message that does not fit is
// refused by the kernel.
const sendBuffer = 4 << 20

// Open opens a socket. The table is not made before Apply.
func Open() (*Table, error) {
	t := &Table{}
	conn, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(c *netlink.Conn) error {
		return errors.Join(t.know(c), c.SetWriteBuffer(sendBuffer))
	}))
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		return nil, ErrUnsupported
	}
	if err != nil {
		return nil, fmt.Errorf("open nftables socket: %w", err)
	}
	t.conn = conn
	return t, nil
}

// know learns the socket's number, by which the kernel tells who changed a table.
func (t *Table) know(c *netlink.Conn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var name unix.Sockaddr
	var nameErr error
	if err := raw.Control(func(fd uintptr) { name, nameErr = unix.Getsockname(int(fd)) }); err != nil || nameErr != nil {
		return errors.Join(err, nameErr)
	}
	t.self = name.(*unix.SockaddrNetlink).Pid
	return nil
}

// Close closes the socket. The table stays.
func (t *Table) Close() error { return t.conn.CloseLasting() }

// List returns what the table holds; all of it is zero while there is none.
func (t *Table) List() (dataplane.Filter, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	have, err := t.read()
	if err != nil {
		return dataplane.Filter{}, err
	}
	return have.filter().Canonical(), nil
}

// Apply makes the table hold what is wanted, in one transaction, if it does not.
// Connections go on as they are.
func (t *Table) Apply(want dataplane.Filter) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	wanted := sets(want.Canonical())
	have, err := t.read()
	switch {
	case errors.Is(err, ErrUnsupported):
		return err
	case err == nil && have.intact && !have.differ(wanted):
		return nil
	case err == nil:
		err = t.write(wanted, have)
	}
	if err != nil {
		// It has become something that we would not write and cannot read, or change
		// in place: a dormant table takes no chains while it wakes.
		err = t.rebuild(wanted)
	}
	// All that it names is made in the same transaction, but for kinds of expressions.
	if cause := first(err); errors.Is(cause, unix.ENOENT) || errors.Is(cause, unix.EOPNOTSUPP) {
		err = fmt.Errorf("%w: %w", ErrUnsupported, cause)
	}
	if err != nil {
		return fmt.Errorf("write table inet %s: %w", Name, err)
	}
	have, err = t.read()
	if err == nil && (!have.intact || have.differ(wanted)) {
		err = fmt.Errorf("read back table inet %s: it is not as it was written", Name)
	}
	return err
}

// first of the errors that a transaction is refused with: the others follow from it.
func first(err error) error {
	var all interface{ Unwrap() []error }
	for errors.As(err, &all) {
		err = all.Unwrap()[0]
	}
	return err
}

// Clean removes the table and nothing else. That it is not there is success.
func (t *Table) Clean() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	there, err := t.there()
	if errors.Is(err, ErrUnsupported) || err == nil && !there {
		return nil
	}
	if err == nil {
		t.conn.DelTable(table())
		err = t.conn.Flush()
	}
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("delete table inet %s: %w", Name, err)
	}
	return nil
}

func table() *nftables.Table {
	return &nftables.Table{Name: Name, Family: nftables.TableFamilyINet}
}
