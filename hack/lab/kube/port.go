package kube

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// reservation keeps a TCP port ours while nothing listens on it: a bound socket
// that never listens gets no connection, and with SO_REUSEPORT the API server
// (--permit-port-sharing) may bind beside it.
type reservation struct {
	fd   int
	port uint16
}

// reserve takes a free port of the address in the caller's network namespace.
func reserve(addr netip.Addr) (*reservation, error) {
	family, any := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Addr: addr4(addr)})
	if addr.Is6() {
		family, any = unix.AF_INET6, &unix.SockaddrInet6{Addr: addr.As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("reserve a port: %w", err)
	}
	r := &reservation{fd: fd}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		r.release()
		return nil, fmt.Errorf("reserve a port: %w", err)
	}
	if err := unix.Bind(fd, any); err != nil {
		r.release()
		return nil, fmt.Errorf("reserve a port of %s: %w", addr, err)
	}
	if r.port, err = boundPort(fd); err != nil {
		r.release()
		return nil, err
	}
	return r, nil
}

func (r *reservation) release() {
	if r != nil {
		_ = unix.Close(r.fd)
	}
}

func boundPort(fd int) (uint16, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return 0, fmt.Errorf("read reserved port: %w", err)
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return uint16(sa.Port), nil
	case *unix.SockaddrInet6:
		return uint16(sa.Port), nil
	}
	return 0, fmt.Errorf("read reserved port: unexpected %T", sa)
}

func addr4(a netip.Addr) [4]byte {
	if a.Is4() {
		return a.As4()
	}
	return [4]byte{}
}
