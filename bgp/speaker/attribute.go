package speaker

import (
	"errors"
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
	from    netip.Addr
	nextHop netip.Addr
	stale   bool
	rank    rank
}

// rank is what two paths have in common that the engine takes for equally
// good: all that RFC 4271 section 9.1.2.2 compares before router IDs.
type rank struct {
	internal          bool
	localPref, med    uint32
	asPathLen, origin int
}

// readPath decodes the attributes of a path from one of our peers.
func readPath(in *api.Path, from bgp.Peer, asn uint32) (path, error) {
	p := path{from: from.Address, stale: in.Stale, rank: rank{internal: from.ASN == asn, localPref: defaultLocalPref}}
	var hops []net.IP
	for _, data := range in.PattrsBinary {
		attr, err := packet.GetPathAttribute(data)
		if err == nil {
			err = attr.DecodeFromBytes(data)
		}
		if err != nil {
			return p, fmt.Errorf("path from %s: %w", from.Address, err)
		}
		switch a := attr.(type) {
		case *packet.PathAttributeNextHop:
			hops = append(hops, a.Value)
		case *packet.PathAttributeMpReachNLRI:
			hops = append(hops, a.Nexthop)
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
	p.nextHop = nextHop(hops, from.Address)
	if !p.nextHop.IsValid() {
		return p, errors.New("no next hop")
	}
	return p, nil
}

// nextHop is the one that a packet can be sent to. A link-local one names no
// link, and BIRD's "::" stands for one; then it is the neighbour itself, as on
// a shared link it is.
func nextHop(hops []net.IP, neighbour netip.Addr) netip.Addr {
	for _, ip := range hops {
		a, ok := netip.AddrFromSlice(ip)
		a = a.Unmap()
		if ok && !a.IsUnspecified() && !a.IsLinkLocalUnicast() {
			return a
		}
	}
	return neighbour
}
