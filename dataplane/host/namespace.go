package host

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane/nl"
)

// ownNamespace is the calling thread's network namespace.
const ownNamespace = "/proc/thread-self/ns/net"

// ErrNoNamespace says that at a path there is no network namespace but, perhaps,
// the node's own.
var ErrNoNamespace = errors.New("no other network namespace")

// AddressesIn returns the global unicast addresses in the network namespace at
// path, sorted, each once, as of Addresses: without temporary ones, and without
// those that another host has too. Those of links that are set down are among
// them. The namespace is not entered, so CAP_NET_ADMIN suffices.
func AddressesIn(path string) ([]netip.Addr, error) {
	namespace, err := openOther(path)
	if err != nil {
		return nil, err
	}
	defer namespace.Close()
	id, err := number(namespace)
	if err != nil {
		return nil, fmt.Errorf("number namespace %s: %w", path, err)
	}
	conn, err := nl.Dial()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	found, err := conn.AddressesIn(id)
	if err != nil {
		return nil, fmt.Errorf("look into namespace %s: %w", path, err)
	}
	var out []netip.Addr
	for _, a := range found {
		if addr := a.Prefix.Addr().Unmap(); usable(addr, int(a.Flags)) {
			out = append(out, addr)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out), nil
}

// openOther opens the namespace at path, if it is not the thread's own.
func openOther(path string) (*os.File, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("open %s: %w", path, ErrNoNamespace)
	}
	if err != nil {
		return nil, fmt.Errorf("open namespace: %w", err)
	}
	theirs, err := f.Stat()
	own, ownErr := os.Stat(ownNamespace)
	switch err = errors.Join(err, ownErr); {
	case err != nil:
		err = fmt.Errorf("open namespace %s: %w", path, err)
	case os.SameFile(own, theirs):
		err = fmt.Errorf("open %s: %w", path, ErrNoNamespace)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// number is what the thread's namespace calls another one in netlink messages. One
// that has no number gets it; the kernel forgets it with the namespace.
func number(namespace *os.File) (int32, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return 0, fmt.Errorf("open rtnetlink socket: %w", err)
	}
	defer h.Close()
	fd := int(namespace.Fd())
	id, err := h.GetNetNsIdByFd(fd)
	if err == nil && id == unix.NETNSA_NSID_NOT_ASSIGNED {
		// As a request: any number that is free.
		if err = h.SetNetNsIdByFd(fd, unix.NETNSA_NSID_NOT_ASSIGNED); err == nil || errors.Is(err, unix.EEXIST) {
			id, err = h.GetNetNsIdByFd(fd)
		}
	}
	if errors.Is(err, unix.EINVAL) {
		return 0, ErrNoNamespace // a file of another kind
	}
	return int32(id), err
}
