package cniplugin

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"

	"github.com/containernetworking/cni/pkg/types"

	"fairlead.dev/cniplugin/store"
)

// ipamConf is the ipam section of a network's configuration.
type ipamConf struct {
	place
	Pools         []string       `json:"pools"`
	PrefixLength  *int           `json:"prefixLength"`
	PrefixLength6 *int           `json:"prefixLength6"`
	Gateway       *netip.Addr    `json:"gateway"`
	Gateway6      *netip.Addr    `json:"gateway6"`
	Routes        []*types.Route `json:"routes"`
	DNS           types.DNS      `json:"dns"`

	subnets map[store.Family]subnet
	// others are the addresses that the configuration itself says are somebody's.
	others []netip.Addr
}

// knownIPAM are the keys of ipamConf and that of the protocol.
var knownIPAM = []string{
	"type", "pools", "prefixLength", "prefixLength6", "gateway", "gateway6", "routes", "dns", "runDir",
}

// subnet is what a network has in one family.
type subnet struct {
	// bits is the prefix length of the subnet that an address is in.
	bits int
	// gateway is invalid if there is none.
	gateway netip.Addr
}

// parseIPAM reads the ipam section, and refuses there what it does not know. The
// rest of the configuration is the other plugin's.
func parseIPAM(data []byte) (ipamConf, error) {
	var c ipamConf
	section, err := ipamSection(data)
	if err != nil {
		return c, err
	}
	if err := refuseUnknown(section, "ipam.", func(key string) bool { return slices.Contains(knownIPAM, key) }); err != nil {
		return c, err
	}
	if err := json.Unmarshal(section, &c); err != nil {
		return c, fmt.Errorf("%w: ipam: %w", errDecode, err)
	}
	if err := checkPools("ipam.pools", c.Pools); err != nil {
		return c, err
	}
	if err := c.readSubnets(); err != nil {
		return c, err
	}
	if err := c.checkRoutes(); err != nil {
		return c, err
	}
	for _, server := range c.DNS.Nameservers {
		addr, _ := netip.ParseAddr(server) // what is none is the reader's to refuse
		c.others = append(c.others, addr)
	}
	return c, c.check()
}

func ipamSection(data []byte) (json.RawMessage, error) {
	var in struct {
		IPAM json.RawMessage `json:"ipam"`
	}
	switch err := json.Unmarshal(data, &in); {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errDecode, err)
	case len(in.IPAM) == 0 || string(in.IPAM) == "null":
		return nil, fmt.Errorf("%w: ipam is missing, %s is run for a network that names it there", errConf, IPAMType)
	}
	return in.IPAM, nil
}

// parseIPAMPlace is parsePlace for the ipam section.
func parseIPAMPlace(data []byte) (place, error) {
	section, err := ipamSection(data)
	if err != nil {
		return place{}, err
	}
	return parsePlace(section)
}

// readSubnets takes the families that have a prefix length for those of the network.
func (c *ipamConf) readSubnets() error {
	c.subnets = map[store.Family]subnet{}
	for _, of := range []struct {
		family                 store.Family
		length                 *int
		gateway                *netip.Addr
		lengthName, gatewayKey string
		most                   int
	}{
		{store.IPv4, c.PrefixLength, c.Gateway, "ipam.prefixLength", "ipam.gateway", 32},
		{store.IPv6, c.PrefixLength6, c.Gateway6, "ipam.prefixLength6", "ipam.gateway6", 128},
	} {
		var s subnet
		if of.gateway != nil && of.gateway.IsValid() {
			s.gateway = *of.gateway
		}
		switch {
		case s.gateway.IsValid() && (store.FamilyOf(s.gateway) != of.family || s.gateway.Zone() != "" || s.gateway.Is4In6()):
			return fmt.Errorf("%w: %s is %s, must be an %s address", errConf, of.gatewayKey, s.gateway, of.family)
		case of.length == nil && s.gateway.IsValid():
			return fmt.Errorf("%w: %s is missing, %s needs it", errConf, of.lengthName, of.gatewayKey)
		case of.length == nil:
			continue
		case *of.length < 1 || *of.length > of.most:
			return fmt.Errorf("%w: %s is %d, must be 1 to %d", errConf, of.lengthName, *of.length, of.most)
		}
		s.bits = *of.length
		c.subnets[of.family] = s
		c.others = append(c.others, s.gateway)
	}
	if len(c.subnets) == 0 {
		return fmt.Errorf("%w: ipam.prefixLength and ipam.prefixLength6 are missing, a network has one or both", errConf)
	}
	return nil
}

func (c *ipamConf) checkRoutes() error {
	for i, r := range c.Routes {
		if r == nil {
			return fmt.Errorf("%w: ipam.routes[%d] is null", errConf, i)
		}
		dst, hasDst := netip.AddrFromSlice(r.Dst.IP)
		if !hasDst {
			return fmt.Errorf("%w: ipam.routes[%d] has no dst", errConf, i)
		}
		gw, hasGateway := netip.AddrFromSlice(r.GW)
		family := store.FamilyOf(dst.Unmap())
		if _, served := c.subnets[family]; !served {
			return fmt.Errorf("%w: ipam.routes[%d] is an %s route, and the network has no prefix length of that family", errConf, i, family)
		}
		if hasGateway {
			c.others = append(c.others, gw.Unmap())
		}
		if hasGateway && store.FamilyOf(gw.Unmap()) != family {
			return fmt.Errorf("%w: ipam.routes[%d] has dst %s and gw %s, must be of one family", errConf, i, &r.Dst, gw.Unmap())
		}
	}
	return nil
}

func (c *ipamConf) families() []store.Family {
	var families []store.Family
	for _, f := range []store.Family{store.IPv4, store.IPv6} {
		if _, served := c.subnets[f]; served {
			families = append(families, f)
		}
	}
	return families
}

// skip says which addresses no interface of the network may have: those of
// gateways and name servers, and those that mean the subnet as a whole.
func (c *ipamConf) skip(addr netip.Addr) bool {
	return slices.Contains(c.others, addr) || c.subnets[store.FamilyOf(addr)].isWhole(addr)
}

// isWhole says that the address is the subnet's own (in IPv6 that of its routers,
// RFC 4291 section 2.6.1) or its broadcast. Subnets of a link between two, and
// single addresses, have neither (RFC 3021, RFC 6164).
func (s subnet) isWhole(addr netip.Addr) bool {
	if addr.BitLen()-s.bits < 2 {
		return false
	}
	if addr == netip.PrefixFrom(addr, s.bits).Masked().Addr() {
		return true
	}
	return addr.Is4() && !netip.PrefixFrom(addr, s.bits).Contains(addr.Next())
}

// checkDemand refuses what the network cannot give whatever is free.
func (c *ipamConf) checkDemand(d demand) error {
	for _, ip := range d.ips {
		f := store.FamilyOf(ip.Addr())
		s, served := c.subnets[f]
		switch {
		case !served:
			return fmt.Errorf("%w: address %s is asked for, and the network has no prefix length of %s", errConf, ip.Addr(), f)
		case ip.Bits() != ip.Addr().BitLen() && ip.Bits() != s.bits:
			return fmt.Errorf("%w: address %s is asked for, and the network's prefix length is %d", errConf, ip, s.bits)
		}
	}
	return nil
}

// checkAddress refuses an address whose subnet the gateway is not in: the pool is
// another subnet's. A link-local gateway is in every subnet.
func (c *ipamConf) checkAddress(addr netip.Addr) error {
	s := c.subnets[store.FamilyOf(addr)]
	on := netip.PrefixFrom(addr, s.bits).Masked()
	if s.gateway.IsValid() && !s.gateway.IsLinkLocalUnicast() && !on.Contains(s.gateway) {
		return fmt.Errorf("%w: gateway %s is not in %s, the subnet of address %s: correct gateway, prefix length or pools", errConf, s.gateway, on, addr)
	}
	return nil
}
