package host

import (
	"errors"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane/nstest"
)

// routerAdvertisement is RFC 4861 section 4.2: type 134, code 0, checksum (the
// kernel's to fill in), hop limit 64, no flags, lifetime 1800 s.
var routerAdvertisement = []byte{134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0}

// advertise sends one to all nodes on link, which may not be ready to send yet.
func advertise(t *testing.T, router nstest.NS, link string) {
	t.Helper()
	router.Do(t, func() {
		if err := sendToAllNodes(link, routerAdvertisement); err != nil && !errors.Is(err, unix.ENETUNREACH) {
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
