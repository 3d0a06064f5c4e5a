package speaker

import (
	"fmt"
	"net"
	"net/netip"

	api "github.com/osrg/gobgp/v3/api"
	packet "github.com/osrg/gobgp/v3/pkg/packet/bgp"

	"fairlead.dev/bgp"
)

// defaultLocalPref is what a path without LOCAL_PREF counts as.
const defaultLocalPref = 100

// path is what matters of a learned one.
type path struct {
	attributes
	from  neighbour
	stale bool
}

// rank is what two paths have in common that the engine takes for equally
// good: all that RFC 4271 section 9.1.2.2 compares before router IDs.
type rank struct {
	internal          bool
	localPref, med    uint32
	asPathLen, origin int
}

// attributes are what the attributes of a path say. hops is the next hop alone, for
// the routes that have no other: they are many, and share it.
type attributes struct {
	rank rank
	hops []netip.Addr
}

// attributes is readAttributes, which is spared where a path has the very bytes of
// another of its peer: a peer sends hundreds of prefixes with the same. Those of
// IPv6 hold the prefix itself.
func (r *reader) attributes(in *api.Path, from neighbour) (attributes, error) {
	r.key = append(r.key[:0], in.NeighborIp...)
	for _, data := range in.PattrsBinary {
		if len(data) > 1 && packet.BGPAttrType(data[1]) == packet.BGP_ATTR_TYPE_MP_REACH_NLRI {
			return readAttributes(in.PattrsBinary, from.Peer, r.asn)
		}
		r.key = append(r.key, data...)
	}
	if known, ok := r.known[string(r.key)]; ok {
		return known, nil
	}
	a, err := readAttributes(in.PattrsBinary, from.Peer, r.asn)
	if err == nil {
		r.known[string(r.key)] = a
	}
	return a, err
}

// readAttributes decodes the attributes of a path from one of our peers.
func readAttributes(binary [][]byte, from bgp.Peer, asn uint32) (attributes, error) {
	p := attributes{rank: rank{internal: from.ASN == asn, localPref: defaultLocalPref}}
	all := make([]packet.PathAttributeInterface, 0, len(binary))
	for _, data := range binary {
		attr, err := packet.GetPathAttribute(data)
		if err == nil {
			err = attr.DecodeFromBytes(data)
		}
		if err != nil {
			return p, fmt.Errorf("path from %s: %w", from.Address, err)
		}
		all = append(all, attr)
		switch a := attr.(type) {
		case *packet.PathAttributeOrigin:
			p.rank.origin = int(a.Value)
		case *packet.PathAttributeLocalPref:
			p.rank.localPref = a.Value
		case *packet.PathAttributeMultiExitDisc:
			p.rank.med = a.Value
		case *packet.PathAttributeAsPath:
			for _, segment := range a.Value {
				p.rank.asPathLen += segment.ASLen()
			}
		}
	}
	p.hops = nextHops(all, from.Address)
	return p, nil
}

// nextHops is the next hop that a packet can be sent to. A link-local one names no
// link, and BIRD's "::" stands for one; then it is the neighbour itself, as on
// a shared link it is.
func nextHops(all []packet.PathAttributeInterface, neighbour netip.Addr) []netip.Addr {
	for _, attr := range all {
		var ip net.IP
		switch a := attr.(type) {
		case *packet.PathAttributeNextHop:
			ip = a.Value
		case *packet.PathAttributeMpReachNLRI:
			ip = a.Nexthop
		}
		a, ok := netip.AddrFromSlice(ip)
		a = a.Unmap()
		if ok && !a.IsUnspecified() && !a.IsLinkLocalUnicast() {
			return []netip.Addr{a}
		}
	}
	return []netip.Addr{neighbour}
}
