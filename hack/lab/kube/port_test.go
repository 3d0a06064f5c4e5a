package kube

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func itoa(n int) string { return strconv.Itoa(n) }

func TestReservation(t *testing.T) {
	for _, addr := range []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()} {
		t.Run(addr.String(), func(t *testing.T) {
			r, err := reserve(addr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(r.release)
			at := netip.AddrPortFrom(addr, r.port).String()
			if l, err := net.Listen("tcp", at); err == nil {
				_ = l.Close()
				t.Error("anyone may listen on a reserved port")
			}
			if c, err := net.Dial("tcp", at); err == nil {
				_ = c.Close()
				t.Error("the reservation takes connections")
			}
			serve(t, at)
		})
	}
}

// serve listens beside the reservation, as the API server does, and is reached.
func serve(t *testing.T, at string) {
	t.Helper()
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		ctlErr := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		})
		if ctlErr != nil {
			return ctlErr
		}
		return err
	}}
	l, err := config.Listen(context.Background(), "tcp", at)
	if err != nil {
		t.Fatalf("listen beside the reservation: %v", err)
	}
	defer func() { _ = l.Close() }()
	for range 20 { // each would be lost if the reservation took its share
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		if c, err = l.Accept(); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
}
