package topology

import (
	"math/big"
	"net/netip"
)

// Where hosts stand in a segment: ToRs from 1, nodes from nodeHost + their number.
const nodeHost = 10

// Where hosts stand in the outside segment: spines from spineHost.
const (
	spineHost           = 1
	outsideHost         = 10
	outsideControlPlane = 11
)

// controlPlaneHost is the control plane's place in the management segment.
const controlPlaneHost = 1

// host is the n-th address of a prefix.
func host(p netip.Prefix, n int) netip.Addr {
	bytes := p.Masked().Addr().AsSlice()
	sum := new(big.Int).Add(new(big.Int).SetBytes(bytes), big.NewInt(int64(n)))
	a, _ := netip.AddrFromSlice(sum.FillBytes(make([]byte, len(bytes))))
	return a
}

// NodeAddress is a node's address in its rack; invalid if the family is not in use.
func (r Rack) NodeAddress(f Family, n Node) netip.Addr {
	return hostOf(r.Subnet.Of(f), nodeHost+n.Number)
}

// ToRAddress is the address in the rack of the i-th ToR, counted from 0.
func (r Rack) ToRAddress(f Family, i int) netip.Addr {
	return hostOf(r.Subnet.Of(f), 1+i)
}

func hostOf(p netip.Prefix, n int) netip.Addr {
	if !p.IsValid() {
		return netip.Addr{}
	}
	return host(p, n)
}

// NodeManagement is a node's address in the management segment.
func (t Topology) NodeManagement(n Node) netip.Addr { return host(t.Management, nodeHost+n.Number) }

// ControlPlane is the address that the API server is reached at.
func (t Topology) ControlPlane() netip.Addr { return host(t.Management, controlPlaneHost) }

// OutsideAddress is the outside host's; invalid if the family is not in use there.
func (t Topology) OutsideAddress(f Family) netip.Addr { return hostOf(t.Outside.Of(f), outsideHost) }

// segment is the n-th host of each prefix, with the prefix's length.
func (p Pair) segment(n int) []netip.Prefix {
	var ps []netip.Prefix
	for _, prefix := range p.prefixes() {
		ps = append(ps, netip.PrefixFrom(host(prefix, n), prefix.Bits()))
	}
	return ps
}

// prefixes are those that are in use.
func (p Pair) prefixes() []netip.Prefix {
	var ps []netip.Prefix
	for _, prefix := range []netip.Prefix{p.V4, p.V6} {
		if prefix.IsValid() {
			ps = append(ps, prefix)
		}
	}
	return ps
}

// Link is one numbered link between a spine and a ToR.
type Link struct {
	Spine, ToR Router
	RackName   string
	SpineASN   uint32
	ToRASN     uint32
	// Spine's and ToR's prefixes, /31 and /127; invalid if the family is not in use.
	SpineEnd, ToREnd Pair
}

// linksPerSpine leaves room for ToRs: a link's number is spine*linksPerSpine + ToR.
const linksPerSpine = 64

// Links between all ToRs and all spines, spine by spine.
func (t Topology) Links() []Link {
	var links []Link
	for s, spine := range t.Spines {
		i := s * linksPerSpine
		for _, r := range t.Racks {
			for _, tor := range r.ToRs {
				links = append(links, Link{
					Spine: spine, ToR: tor, RackName: r.Name, SpineASN: t.SpineASN, ToRASN: r.ToRASN,
					SpineEnd: t.end(2 * i), ToREnd: t.end(2*i + 1),
				})
				i++
			}
		}
	}
	return links
}

func (t Topology) end(n int) Pair {
	var p Pair
	if t.Fabric.V4.IsValid() {
		p.V4 = netip.PrefixFrom(host(t.Fabric.V4, n), 31)
	}
	if t.Fabric.V6.IsValid() {
		p.V6 = netip.PrefixFrom(host(t.Fabric.V6, n), 127)
	}
	return p
}

// RouterID of the router of that name: ToRs from 1, spines from 201.
func (t Topology) RouterID(name string) netip.Addr {
	n := 1
	for _, r := range t.Racks {
		for _, tor := range r.ToRs {
			if tor.Name == name {
				return host(t.RouterIDs, n)
			}
			n++
		}
	}
	for i, s := range t.Spines {
		if s.Name == name {
			return host(t.RouterIDs, 201+i)
		}
	}
	return netip.Addr{}
}

// Owners maps every address of routers and nodes to the role that has it.
func (t Topology) Owners() map[netip.Addr]string {
	owners := map[netip.Addr]string{t.ControlPlane(): RoleControlPlane}
	for _, n := range t.Nodes() {
		owners[t.NodeManagement(n)] = n.Name
	}
	for _, f := range t.Families() {
		for _, r := range t.Racks {
			for i, tor := range r.ToRs {
				owners[r.ToRAddress(f, i)] = tor.Name
			}
			for _, n := range r.Nodes {
				owners[r.NodeAddress(f, n)] = n.Name
			}
		}
		if a := t.OutsideAddress(f); a.IsValid() {
			owners[a] = RoleOutside
			owners[host(t.Outside.Of(f), outsideControlPlane)] = RoleControlPlane
			for i, s := range t.Spines {
				owners[host(t.Outside.Of(f), spineHost+i)] = s.Name
			}
		}
		for _, l := range t.Links() {
			owners[l.SpineEnd.Of(f).Addr()] = l.Spine.Name
			owners[l.ToREnd.Of(f).Addr()] = l.ToR.Name
		}
	}
	return owners
}
