package cluster

import (
	"fmt"
	"net/netip"
)

// occupied is a prefix that is no pods', and whose it is.
type occupied struct {
	cidr netip.Prefix
	by   string
}

// occupiedBy lists what must be no pod's: the addresses of Nodes, as a block around one
// would be a blackhole on one node, and on the others lead away from it; and of the API
// server's Service, whose range kube-proxy takes the packets of.
func occupiedBy(s *State) []occupied {
	var out []occupied
	add := func(address, by string) {
		if addr, ok := parseAddress(address); ok {
			out = append(out, occupied{netip.PrefixFrom(addr, addr.BitLen()), by})
		}
	}
	for _, a := range s.Services {
		add(a, "Service/"+apiService)
	}
	for i := range s.Nodes {
		for _, a := range s.Nodes[i].Status.Addresses {
			add(a.Address, "Node/"+s.Nodes[i].Name)
		}
	}
	return out
}

// findOccupied keeps what pods of the pool could meet. What is reserved they do not:
// for that a block must be reserved whole, unless the pool is for fairlead-ipam, whose
// blocks nobody routes. Of a pool that takes over podCIDRs those alone are leased.
func (p *pool) findOccupied(all []occupied) {
	if p.invalid != nil || p.adopts() {
		return
	}
	for _, o := range all {
		if !p.carve.CIDR().Overlaps(o.cidr) {
			continue
		}
		unit := o.cidr
		if p.Spec.EffectiveAdvertise() && unit.Bits() > p.carve.BlockSize() {
			unit = netip.PrefixFrom(unit.Addr(), p.carve.BlockSize()).Masked()
		}
		if p.carve.Addresses(unit) > 0 {
			p.occupied = append(p.occupied, o)
		}
	}
}

// occupation says what is in the way, "" if nothing is.
func (p *pool) occupation() string {
	if len(p.occupied) == 0 {
		return ""
	}
	first, more := p.occupied[0], ""
	if n := len(p.occupied) - 1; n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return fmt.Sprintf("spec.cidr %s holds %s, an address of %s%s", p.Spec.CIDR, first.cidr.Addr(), first.by, more)
}
