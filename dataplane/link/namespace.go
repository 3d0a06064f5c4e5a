package link

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane/nl"
)

// ownNamespace is the calling thread's network namespace.
const ownNamespace = "/proc/thread-self/ns/net"

// Errors of OpenNamespace.
var (
	// ErrNoNamespace says that there is no network namespace at that path.
	ErrNoNamespace = errors.New("no network namespace")
	// ErrOwnNamespace says that the path is of the node's own namespace.
	ErrOwnNamespace = errors.New("the node's own network namespace")
)

// Namespace is a pod's network namespace with a socket in it.
type Namespace struct {
	file *os.File
	conn *nl.Conn
}

// OpenNamespace opens the namespace that path names. A socket stays in the
// namespace in which it was opened, so the thread goes there and straight back.
func OpenNamespace(path string) (*Namespace, error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("open namespace %s: %w", path, ErrNoNamespace)
	}
	if err != nil {
		return nil, fmt.Errorf("open namespace: %w", err)
	}
	ns := &Namespace{file: file}
	err = ns.Do(func() (err error) {
		ns.conn, err = nl.Dial()
		return err
	})
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("enter namespace %s: %w", path, err)
	}
	return ns, nil
}

// Close closes the socket and the namespace.
func (ns *Namespace) Close() error {
	return errors.Join(ns.conn.Close(), ns.file.Close())
}

// HasLink says whether the namespace has a link of that name.
func (ns *Namespace) HasLink(name string) (bool, error) {
	_, err := ns.conn.Index(name)
	if errors.Is(err, unix.ENODEV) {
		return false, nil
	}
	return err == nil, err
}

func (ns *Namespace) fd() int { return int(ns.file.Fd()) }

// Do runs f on a thread that is inside the namespace, which must not be the one
// that the thread is in.
func (ns *Namespace) Do(f func() error) error {
	runtime.LockOSThread()
	own, err := os.Open(ownNamespace)
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer own.Close()
	if err := ns.enter(own); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	result := f()
	if err := unix.Setns(int(own.Fd()), unix.CLONE_NEWNET); err != nil {
		// Still locked: the thread ends with its goroutine and nobody else gets it.
		return errors.Join(result, fmt.Errorf("return to the node's namespace: %w", err))
	}
	runtime.UnlockOSThread()
	return result
}

func (ns *Namespace) enter(own *os.File) error {
	mine, err := own.Stat()
	if err != nil {
		return err
	}
	theirs, err := ns.file.Stat()
	if err != nil {
		return err
	}
	if os.SameFile(mine, theirs) {
		return ErrOwnNamespace
	}
	switch err := unix.Setns(ns.fd(), unix.CLONE_NEWNET); {
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOTTY):
		return ErrNoNamespace // a file of another kind
	default:
		return err
	}
}

// enableIPv6 undoes disable_ipv6, which some runtimes set in new namespaces.
func (ns *Namespace) enableIPv6(link string) error {
	return ns.Do(func() error { return writeSetting(link, "disable_ipv6", "0") })
}

// announce has the link tell its neighbours by NDP when its MAC changes. Unlike
// ARP's, this setting has no netlink message.
func (ns *Namespace) announce(link string) error {
	return ns.Do(func() error { return writeSetting(link, "ndisc_notify", "1") })
}
