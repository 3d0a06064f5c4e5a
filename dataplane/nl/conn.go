// Package nl speaks rtnetlink: requests in batches, each acknowledged by
// itself; dumps that know when they were interrupted; notifications that know
// when some were lost. It knows the kernel's messages and nothing of what
// Fairlead wants: that is for the packages that own a kind of kernel object.
//
// Messages, their encoding and the sockets for notifications are those of
// vishvananda/netlink. The exchange is not: the library's one call a route takes
// more than twice the time of messages in batches, and its dumps end in a panic
// where the kernel ends them in words (docs/design/0010).
package nl

import (
	"encoding/binary"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	// receiveBuffer holds what the kernel answers to a whole batch before we
	// read the first answer: about 1.3 KiB of accounted memory each. The kernel
	// doubles the figure.
	receiveBuffer = 1 << 20
	// readSize is above the largest datagram that the kernel makes of a dump (32 KiB).
	readSize = 64 << 10
)

// Conn is a socket for requests, in the network namespace of the thread that
// dialled it, for good. It may be used by several goroutines: one exchange
// follows another.
type Conn struct {
	mu  sync.Mutex // orders exchanges: the socket can carry one at a time
	fd  int        // -1 once closed
	seq uint32
	buf []byte
}

// Dial opens a socket in the calling thread's network namespace. It is not the
// library's, which registers with the runtime's poller: that is woken by every
// acknowledgement then, a fifth of a batch's time, and for nothing, as all of
// them are there when the send returns.
func Dial() (*Conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink socket: %w", err)
	}
	c := &Conn{fd: fd, buf: make([]byte, readSize)}
	if err := c.configure(); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("open rtnetlink socket: %w", err)
	}
	return c, nil
}

// PortID is the number under which notifications name this socket as the one
// whose request caused the change.
func (c *Conn) PortID() (uint32, error) {
	address, err := unix.Getsockname(c.fd)
	if err != nil {
		return 0, fmt.Errorf("read the port of an rtnetlink socket: %w", err)
	}
	return address.(*unix.SockaddrNetlink).Pid, nil
}

// Close closes it.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	fd := c.fd
	c.fd = -1
	return unix.Close(fd)
}

func (c *Conn) configure() error {
	for _, o := range []struct {
		option int
		why    string
	}{
		{unix.NETLINK_EXT_ACK, "the kernel's own words on an error"},
		{unix.NETLINK_CAP_ACK, "acknowledgements without a copy of the request"},
		{unix.NETLINK_GET_STRICT_CHK, "dumps filtered by the kernel"},
	} {
		if err := unix.SetsockoptInt(c.fd, unix.SOL_NETLINK, o.option, 1); err != nil {
			return fmt.Errorf("ask for %s: %w", o.why, err)
		}
	}
	// Without room for the answers a batch cannot tell what was obeyed.
	if err := c.growReceiveBuffer(); err != nil {
		return fmt.Errorf("ask for room for answers: %w", err)
	}
	return unix.Bind(c.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}

// growReceiveBuffer goes past net.core.rmem_max where CAP_NET_ADMIN lets it.
func (c *Conn) growReceiveBuffer() error {
	if unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) == nil {
		return nil
	}
	return unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
}

// next returns the next sequence number. The caller holds c.mu.
func (c *Conn) next() uint32 {
	c.seq++
	return c.seq
}

func (c *Conn) send(b []byte) error {
	return unix.Sendto(c.fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}

// receive hands every message of the next datagram to each. It does not wait:
// the kernel answers within the send, and goes on with a dump within the read,
// so what is not there was lost (EAGAIN). The caller holds c.mu.
func (c *Conn) receive(each func(unix.NlMsghdr, []byte) error) error {
	b, err := c.datagram(c.buf)
	if err != nil {
		return err
	}
	return walk(b, each)
}

// datagram reads the next one that is whole and from the kernel into buf.
func (c *Conn) datagram(buf []byte) ([]byte, error) {
	for {
		n, _, flags, from, err := unix.Recvmsg(c.fd, buf, nil, 0)
		switch sa, ok := from.(*unix.SockaddrNetlink); {
		case err == unix.EINTR:
		case err != nil:
			return nil, err
		case flags&unix.MSG_TRUNC != 0:
			return nil, fmt.Errorf("datagram longer than %d bytes: %w", len(buf), unix.EMSGSIZE)
		case ok && sa.Pid == 0: // 0 is the kernel; another process may write to us too
			return buf[:n], nil
		}
	}
}

// walk hands the messages of one datagram to each, until it returns an error.
func walk(b []byte, each func(h unix.NlMsghdr, body []byte) error) error {
	for len(b) > 0 {
		if len(b) < unix.SizeofNlMsghdr {
			return fmt.Errorf("%w: %d bytes of a header", ErrMalformed, len(b))
		}
		h := unix.NlMsghdr{
			Len:   binary.NativeEndian.Uint32(b),
			Type:  binary.NativeEndian.Uint16(b[4:]),
			Flags: binary.NativeEndian.Uint16(b[6:]),
			Seq:   binary.NativeEndian.Uint32(b[8:]),
			Pid:   binary.NativeEndian.Uint32(b[12:]),
		}
		if h.Len < unix.SizeofNlMsghdr || uint64(h.Len) > uint64(len(b)) {
			return fmt.Errorf("%w: length %d of %d", ErrMalformed, h.Len, len(b))
		}
		if err := each(h, b[unix.SizeofNlMsghdr:h.Len]); err != nil {
			return err
		}
		b = b[min(aligned(int(h.Len)), len(b)):]
	}
	return nil
}
