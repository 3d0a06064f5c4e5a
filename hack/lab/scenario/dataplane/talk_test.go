package dataplane

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/topology"
)

// patience with a peer that must answer, and with one that must not.
const (
	patience = 20 * time.Second
	doubt    = 2 * time.Second
)

// serve answers on a TCP port of a role, at all its addresses, until the end of
// the test. It tells whoever says a line whom it sees.
func (s *scene) serve(t *testing.T, role string, port uint16) {
	t.Helper()
	var l net.Listener
	if err := s.ns(role).Inside(func() (err error) {
		l, err = net.Listen("tcp", fmt.Sprint(":", port))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // ends with the connection
				defer conn.Close()
				in := bufio.NewScanner(conn)
				for in.Scan() {
					if _, err := fmt.Fprintln(conn, conn.RemoteAddr()); err != nil {
						return
					}
				}
			}()
		}
	}()
}

// talk is a connection to a server of serve.
type talk struct {
	conn net.Conn
	in   *bufio.Reader
}

// dial connects from a role, by an address of it if that is valid, within a time.
func (s *scene) dial(t *testing.T, role string, source netip.Addr, to netip.AddrPort, within time.Duration) (*talk, error) {
	t.Helper()
	var conn net.Conn
	err := s.ns(role).Inside(func() (err error) {
		d := net.Dialer{Timeout: within}
		if source.IsValid() {
			d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
		}
		conn, err = d.DialContext(t.Context(), "tcp", to.String())
		return err
	})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &talk{conn, bufio.NewReader(conn)}, nil
}

// seen says a line and returns the address that the server sees.
func (c *talk) seen() (netip.Addr, error) {
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return netip.Addr{}, err
	}
	if _, err := io.WriteString(c.conn, "who am I?\n"); err != nil {
		return netip.Addr{}, err
	}
	line, err := c.in.ReadString('\n')
	if err != nil {
		return netip.Addr{}, err
	}
	at, err := netip.ParseAddrPort(strings.TrimSpace(line))
	return at.Addr().Unmap(), err
}

// seenBy connects and returns the address that the server sees.
func (s *scene) seenBy(t *testing.T, role string, to netip.AddrPort) (netip.Addr, error) {
	t.Helper()
	c, err := s.dial(t, role, netip.Addr{}, to, patience)
	if err != nil {
		return netip.Addr{}, err
	}
	defer c.conn.Close()
	return c.seen()
}

// unreachable fails the test if a connection is made.
func (s *scene) unreachable(t *testing.T, role string, to netip.AddrPort) {
	t.Helper()
	c, err := s.dial(t, role, netip.Addr{}, to, doubt)
	if err == nil {
		seen, err := c.seen()
		t.Errorf("%s has a connection to %s, which sees %s, %v", role, to, seen, err)
	}
}

// transfer sends much from one pod to another by TCP over uplinks of an MTU, in
// segments as large as the overlay takes them.
func (s *scene) transfer(t *testing.T, from, to lab.Pod, f topology.Family, mtu int) {
	t.Helper()
	const size = 16 << 20
	var l net.Listener
	if err := s.ns(to.Role()).Inside(func() (err error) {
		l, err = net.Listen("tcp", netip.AddrPortFrom(to.Address(f), 0).String())
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			got <- err
			return
		}
		defer conn.Close()
		err = conn.SetDeadline(time.Now().Add(patience))
		n, copyErr := io.Copy(io.Discard, conn)
		if n != size {
			err = errors.Join(err, fmt.Errorf("%d of %d bytes came", n, size))
		}
		got <- errors.Join(err, copyErr)
	}()
	c, err := s.dial(t, from.Role(), from.Address(f), l.Addr().(*net.TCPAddr).AddrPort(), patience)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(c.conn.SetDeadline(time.Now().Add(patience)), write(c.conn, size))
	segment, infoErr := segmentOf(c.conn.(*net.TCPConn))
	if err := errors.Join(err, infoErr, c.conn.Close(), <-got); err != nil {
		t.Errorf("transfer from %s to %s, %s: %v", from.Name, to.Name, f, err)
	}
	// Less an IPv6 header, and TCP's with timestamps.
	if least := mtu - dataplane.OverlayOverhead4 - 40 - 32; segment < least {
		t.Errorf("transfer from %s to %s, %s: segments of %d bytes, want %d at least", from.Name, to.Name, f, segment, least)
	}
}

func write(w io.Writer, size int) error {
	b := make([]byte, 1<<16)
	for ; size > 0; size -= len(b) {
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// segmentOf is the size of the segments that a connection sends.
func segmentOf(conn *net.TCPConn) (int, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var info *unix.TCPInfo
	var infoErr error
	err = raw.Control(func(fd uintptr) { info, infoErr = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	if err := errors.Join(err, infoErr); err != nil {
		return 0, err
	}
	return int(info.Snd_mss), nil
}
