package filter_test

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane/nstest"
)

// sendFrame puts an Ethernet frame on a namespace's eth0, to all hosts there.
func sendFrame(t *testing.T, ns nstest.NS, etherType uint16, payload []byte) {
	t.Helper()
	ns.Do(t, func() {
		i, err := net.InterfaceByName("eth0")
		if err != nil {
			t.Error(err)
			return
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer unix.Close(fd)
		frame := slices.Concat([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, i.HardwareAddr, binary.BigEndian.AppendUint16(nil, etherType), payload)
		if etherType == unix.ETH_P_IPV6 {
			copy(frame, []byte{0x33, 0x33, 0, 0, 0, 1})
		}
		if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: i.Index}); err != nil {
			t.Error(err)
		}
	})
}

// icmp6 is a message with its IPv6 header, to all nodes on the link (RFC 8200, RFC 4443).
func icmp6(source string, body ...byte) []byte {
	from, to := netip.MustParseAddr(source).As16(), netip.MustParseAddr("ff02::1").As16()
	header := []byte{0x60, 0, 0, 0, 0, byte(len(body)), unix.IPPROTO_ICMPV6, 255}
	packet := slices.Concat(header, from[:], to[:], body)
	sum := checksum(slices.Concat(from[:], to[:], []byte{0, 0, 0, byte(len(body)), 0, 0, 0, unix.IPPROTO_ICMPV6}, body))
	binary.BigEndian.PutUint16(packet[42:], sum)
	return packet
}

// checksum of RFC 1071.
func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// A router advertisement from a pod gives the node no route, even on a link that
// would take it; nor does a redirect change one.
func TestRouterAdvertisements(t *testing.T) {
	s := newSite(t)
	// Router lifetime 1800 s, and a prefix to take an address from (RFC 4861 section 4.6.2).
	advertisement := icmp6("fe80::bad", slices.Concat(
		[]byte{134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0},
		[]byte{3, 4, 64, 0xc0, 0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0x20, 0x01, 0x0d, 0xb8, 0xba, 0xd0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
	)...)
	s.node.Run(t, "sysctl", "-qw", "net.ipv6.conf."+s.podLink+".accept_ra=2")
	taken := func() bool {
		return strings.Contains(s.node.Run(t, "ip", "-6", "route", "show", "dev", s.podLink), "fe80::bad")
	}
	for range 100 { // without the table: the test would show something
		if sendFrame(t, s.pod, unix.ETH_P_IPV6, advertisement); taken() {
			break
		}
	}
	if !taken() {
		t.Fatal("the link takes no router advertisements: the test shows nothing")
	}
	s.node.Run(t, "ip", "-6", "route", "flush", "dev", s.podLink, "proto", "ra")
	apply(t, s.table, shared())
	s.rises(t, "a pod is no router", 0, func() { sendFrame(t, s.pod, unix.ETH_P_IPV6, advertisement) })
	if taken() {
		t.Error("the node took a route from a pod")
	}
	target, destination := netip.MustParseAddr("fe80::bad").As16(), netip.MustParseAddr(outsideAddr[1]).As16()
	redirect := icmp6("fe80::bad", slices.Concat([]byte{137, 0, 0, 0, 0, 0, 0, 0}, target[:], destination[:])...)
	s.rises(t, "a pod redirects nobody", 0, func() { sendFrame(t, s.pod, unix.ETH_P_IPV6, redirect) })
}

// A pod that says by ARP and NDP that everybody's address is at its own MAC gains
// nothing: neighbours are kept for each link, and its link leads to itself alone.
func TestNeighbourSpoofing(t *testing.T) {
	s := newSite(t)
	apply(t, s.table, shared())
	victims := func(f int) []string {
		return []string{otherAddr[f], nodeAddr[f], torAddr(f, 1), torAddr(f, 2), outsideAddr[f], [2]string{"169.254.1.1", "fe80::1"}[f]}
	}
	s.pod.Do(t, func() {
		i, err := net.InterfaceByName("eth0")
		if err != nil {
			t.Error(err)
			return
		}
		for _, victim := range victims(0) {
			a := netip.MustParseAddr(victim).As4()
			for _, operation := range []byte{1, 2} { // request and answer (RFC 826)
				sendFrame(t, s.pod, unix.ETH_P_ARP, slices.Concat(
					[]byte{0, 1, 8, 0, 6, 4, 0, operation}, i.HardwareAddr, a[:], []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, a[:]))
			}
		}
		for _, victim := range victims(1) {
			a := netip.MustParseAddr(victim).As16()
			// A neighbour advertisement that overrides, with its MAC (RFC 4861 section 4.4).
			sendFrame(t, s.pod, unix.ETH_P_IPV6, icmp6("fe80::bad", slices.Concat(
				[]byte{136, 0, 0, 0, 0x20, 0, 0, 0}, a[:], []byte{2, 1}, i.HardwareAddr)...))
			sendFrame(t, s.pod, unix.ETH_P_IPV6, icmp6(victim, slices.Concat(
				[]byte{136, 0, 0, 0, 0x20, 0, 0, 0}, a[:], []byte{2, 1}, i.HardwareAddr)...))
		}
	})
	for f := range families {
		s.want(t, s.node, otherAddr[f], s.source(t, otherAddr[f]))
		s.want(t, s.other, outsideAddr[f], nodeAddr[f])
		s.want(t, s.pod, otherAddr[f], podAddr[f])
	}
	for _, victim := range slices.Concat(victims(0), victims(1)) {
		for line := range strings.Lines(s.node.Run(t, "ip", "neigh", "show", "to", victim)) {
			if strings.Contains(line, s.podLink) && strings.Contains(line, "REACHABLE") {
				t.Errorf("the node believes: %s", line)
			}
		}
	}
}

// source that the node chooses.
func (s *site) source(t *testing.T, to string) string {
	t.Helper()
	_, rest, _ := strings.Cut(s.node.Run(t, "ip", "route", "get", to), " src ")
	return strings.Fields(rest)[0]
}

// A pod has its address: a DHCP server on the node does not hear it ask for one.
func TestDHCP(t *testing.T) {
	s := newSite(t)
	apply(t, s.table, shared())
	request := slices.Concat(
		[]byte{0x45, 0, 0, 32, 0, 0, 0, 0, 64, unix.IPPROTO_UDP, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255},
		[]byte{0, 68, 0, 67, 0, 12, 0, 0, 1, 1, 6, 0},
	)
	binary.BigEndian.PutUint16(request[10:], checksum(request[:20]))
	s.rises(t, "nor is DHCP", 0, func() { sendFrame(t, s.pod, unix.ETH_P_IP, request) })
}
