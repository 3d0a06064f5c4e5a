package dataplane

import (
	"encoding/binary"
	"encoding/json"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
)

// nic is a role's end of a link, as a sender of raw frames needs it.
type nic struct {
	Index int    `json:"ifindex"`
	MAC   string `json:"address"`
}

func (n nic) mac() dataplane.MAC {
	var m dataplane.MAC
	hw, _ := net.ParseMAC(n.MAC) // iproute2's
	copy(m[:], hw)
	return m
}

func (s *scene) nic(t *testing.T, role, link string) nic {
	t.Helper()
	var links []nic
	if err := json.Unmarshal([]byte(s.exec(t, role, "ip", "-j", "link", "show", "dev", link)), &links); err != nil || len(links) != 1 {
		t.Fatalf("%s of %s: %v, %v", link, role, links, err)
	}
	return links[0]
}

// sender of raw frames on a link.
type sender struct {
	t  *testing.T
	fd int
	to unix.SockaddrLinklayer
}

func (s *scene) sender(t *testing.T, role string, n nic) *sender {
	t.Helper()
	out := &sender{t: t, to: unix.SockaddrLinklayer{Ifindex: n.Index}}
	if err := s.ns(role).Inside(func() (err error) {
		out.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(out.fd) })
	return out
}

func (s *sender) send(frame []byte) {
	s.t.Helper()
	if err := unix.Sendto(s.fd, frame, 0, &s.to); err != nil {
		s.t.Error(err)
	}
}

func allHosts() dataplane.MAC { return dataplane.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }

func allNodes6() netip.Addr { return netip.IPv6LinkLocalAllNodes() }

func ethernet(to, from dataplane.MAC, kind uint16, body []byte) []byte {
	frame := append(append([]byte{}, to[:]...), from[:]...)
	return append(binary.BigEndian.AppendUint16(frame, kind), body...)
}

// claim says by ARP (RFC 826) that an IPv4 address is the sender's: a reply that
// nobody asked for, or with request a question for another address.
func claim(a netip.Addr, at dataplane.MAC, request bool, target netip.Addr) []byte {
	operation := uint16(2)
	if request {
		operation = 1
	}
	body := []byte{0, 1, 8, 0, 6, 4} // Ethernet, IPv4
	body = binary.BigEndian.AppendUint16(body, operation)
	body = append(append(body, at[:]...), a.AsSlice()...)
	body = append(append(body, make([]byte, 6)...), target.AsSlice()...)
	return ethernet(allHosts(), at, unix.ETH_P_ARP, body)
}

// icmp6 is a whole frame; neighbour discovery wants a hop limit of 255 (RFC 4861).
func icmp6(to, from dataplane.MAC, dst, src netip.Addr, kind byte, body []byte) []byte {
	message := append([]byte{kind, 0, 0, 0}, body...)
	pseudo := append(append(src.AsSlice(), dst.AsSlice()...), 0, 0, 0, byte(len(message)), 0, 0, 0, unix.IPPROTO_ICMPV6)
	binary.BigEndian.PutUint16(message[2:], checksum(append(pseudo, message...)))
	header := []byte{0x60, 0, 0, 0, 0, byte(len(message)), unix.IPPROTO_ICMPV6, 255}
	packet := append(append(append(header, src.AsSlice()...), dst.AsSlice()...), message...)
	return ethernet(to, from, unix.ETH_P_IPV6, packet)
}

// checksum of RFC 1071 over an even number of bytes.
func checksum(b []byte) uint16 {
	sum := uint32(0)
	for ; len(b) > 0; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// allNodesMAC is where packets to allNodes6 go (RFC 2464 section 7).
func allNodesMAC() dataplane.MAC { return dataplane.MAC{0x33, 0x33, 0, 0, 0, 1} }

// claim6 says that an IPv6 address is the sender's, whatever was known before.
func claim6(a netip.Addr, at dataplane.MAC) []byte {
	body := append([]byte{0x20, 0, 0, 0}, a.AsSlice()...) // override
	body = append(append(body, 2, 1), at[:]...)           // target's link-layer address
	return icmp6(allNodesMAC(), at, allNodes6(), at.LinkLocal(), 136, body)
}

// advertisement says that the sender is a router for some time, and with a valid
// prefix that hosts make addresses of it.
func advertisement(to dataplane.MAC, at dataplane.MAC, src netip.Addr, lifetime time.Duration, prefix netip.Prefix) []byte {
	body := []byte{64, 0}
	body = binary.BigEndian.AppendUint16(body, uint16(lifetime.Seconds()))
	body = append(body, make([]byte, 8)...)
	if prefix.IsValid() {
		body = append(body, 3, 4, byte(prefix.Bits()), 0xc0) // on-link, autonomous
		body = binary.BigEndian.AppendUint32(body, uint32(lifetime.Seconds()))
		body = binary.BigEndian.AppendUint32(body, uint32(lifetime.Seconds()))
		body = append(append(body, 0, 0, 0, 0), prefix.Addr().AsSlice()...)
	}
	body = append(append(body, 1, 1), at[:]...) // source's link-layer address
	return icmp6(to, at, allNodes6(), src, 134, body)
}
