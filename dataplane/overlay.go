package dataplane

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"
)

// OverlayLink is the name of the node's VXLAN device. It is ours by its name: a
// device of that name that is no VXLAN device is left alone, and said so.
const OverlayLink = "fairlead-vxlan"

// What VXLAN adds to a packet (RFC 7348 section 5): an Ethernet header of 14
// bytes, VXLAN's 8, UDP's 8, and the underlay's IP header, 20 or 40.
const (
	OverlayOverhead4 = 50
	OverlayOverhead6 = 70
)

// VXLAN is what all nodes of an overlay have in common.
type VXLAN struct {
	// VNI is the network identifier, 24 bits.
	VNI uint32
	// Port is the UDP port.
	Port uint16
}

// Overlay is the node's VXLAN device and all that it is told. Nothing is flooded
// and nothing learned: what is not here is not sent to.
type Overlay struct {
	VXLAN
	// Local is the node's underlay address, the source of outer packets.
	Local netip.Addr
	MAC   MAC
	MTU   uint32
	// Addresses are the node's own in the overlay, sorted, each whole (/32, /128).
	Addresses []netip.Addr
	// VTEPs are the other nodes', sorted by MAC, each MAC and each neighbour once.
	VTEPs []VTEP
}

// VTEP is another node's end of the overlay.
type VTEP struct {
	MAC MAC
	// Underlay is where outer packets to it go, of Overlay.Local's family.
	Underlay netip.Addr
	// Neighbours are the next hops that stand for it on the device, sorted.
	Neighbours []netip.Addr
}

// OverlayResult is what an Apply of an Overlay left behind.
type OverlayResult struct {
	// Up says that the device is as wanted and up: other nodes may send to it.
	Up bool
	// Surplus says that there is more than was wanted, which a prune removes.
	Surplus bool
}

// MAC is an Ethernet address.
type MAC [6]byte

// OverlayMAC is the Ethernet address of a node's VXLAN device. It follows from
// the node's name, so that every other node knows it without being told.
func OverlayMAC(node string) MAC {
	sum := sha256.Sum256([]byte("overlay\x00" + node))
	var m MAC
	copy(m[:], sum[:])
	m[0] = m[0]&^0x01 | 0x02 // unicast, locally administered (IEEE 802-2014 section 8.2)
	return m
}

// LinkLocal is the IPv6 address that a device makes of its Ethernet address (RFC
// 4291 appendix A).
func (m MAC) LinkLocal() netip.Addr {
	return netip.AddrFrom16([16]byte{
		0: 0xfe, 1: 0x80, 8: m[0] ^ 0x02, 9: m[1], 10: m[2], 11: 0xff, 12: 0xfe, 13: m[3], 14: m[4], 15: m[5],
	})
}

func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// MarshalText is String.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// Compare orders by bytes.
func (m MAC) Compare(o MAC) int { return slices.Compare(m[:], o[:]) }

// OverlayMTU is the MTU of the device over uplinks of that MTU. Where these are
// too small for IPv6 in it, outer packets are cut into fragments instead.
func OverlayMTU(uplink uint32, local netip.Addr) uint32 {
	overhead := uint32(OverlayOverhead4)
	if local.Is6() {
		overhead = OverlayOverhead6
	}
	return max(MinMTU, uplink-min(uplink, overhead))
}
