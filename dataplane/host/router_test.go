package host

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane/nstest"
)

// routerAdvertisement is RFC 4861 section 4.2: type 134, code 0, checksum (the
// kernel's to fill in), hop limit 64, no flags, lifetime in seconds.
func routerAdvertisement(lifetime uint16) []byte {
	return []byte{134, 0, 0, 0, 64, 0, byte(lifetime >> 8), byte(lifetime), 0, 0, 0, 0, 0, 0, 0, 0}
}

// advertise sends one to all nodes on link, which may not be ready to send yet.
func advertise(t *testing.T, router nstest.NS, link string, lifetime uint16) {
	t.Helper()
	router.Do(t, func() {
		if err := sendToAllNodes(link, routerAdvertisement(lifetime)); err != nil && !errors.Is(err, unix.ENETUNREACH) {
			t.Errorf("send router advertisement: %v", err)
		}
	})
}

func sendToAllNodes(link string, packet []byte) error {
	i, err := net.InterfaceByName(link)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMPV6)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	// A receiver takes it only with the hop limit that no router has lowered.
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255); err != nil {
		return err
	}
	to := &unix.SockaddrInet6{ZoneId: uint32(i.Index), Addr: [16]byte{0: 0xff, 1: 0x02, 15: 1}}
	return unix.Sendto(fd, packet, 0, to)
}

// poll waits until ok, for 5 s at most.
func poll(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); <-tick.C {
		if ok() {
			return
		}
	}
	t.Fatalf("waited 5 s in vain for %s", what)
}

// A node that forwards goes on to hear its router: each advertisement lengthens
// the default route's life, which would end with the first one's otherwise.
func TestTheAdvertisedDefaultRouteOutlivesItsLifetime(t *testing.T) {
	ns := newHost(t)
	ns.Run(t, "ip", "link", "set", "eth0", "up")
	router := nstest.New(t, "router")
	ns.Run(t, "ip", "link", "set", "far0", "netns", router.Name)
	router.Run(t, "ip", "addr", "add", "fe80::1/64", "dev", "far0", "nodad")
	router.Run(t, "ip", "link", "set", "far0", "up")
	const first, second = 600, 9000
	// left is how many seconds the default route has to live.
	left := func() (seconds int) {
		_, expires, _ := strings.Cut(ns.Run(t, "ip", "-6", "route", "show", "default", "proto", "ra"), "expires ")
		_, _ = fmt.Sscanf(expires, "%dsec", &seconds)
		return seconds
	}
	poll(t, "a default route by router advertisement", func() bool {
		advertise(t, router, "far0", first)
		return left() > 0
	})
	prepare(t, ns, filepath.Join(t.TempDir(), "sysctl.json"))
	if n := left(); n == 0 || n > first {
		t.Fatalf("the default route has %d s to live after Prepare, want up to %d", n, first)
	}
	poll(t, "a longer life of the default route", func() bool {
		advertise(t, router, "far0", second)
		return left() > first
	})
}
