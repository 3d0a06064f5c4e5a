package conformance

import (
	"net/netip"
	"slices"
	"strings"
)

// What the result of ADD says, beside the kernel.

func addResultObligations() []Obligation {
	return []Obligation{
		{
			ID: "result-version", Level: Must, Source: specResult,
			Text: "The result has the cniVersion of the configuration.",
			try: func(t *Trial) {
				if t.node(Large).container().added().CNIVersion != t.version {
					t.fail("the result has another cniVersion than the configuration")
				}
			},
		},
		{
			ID: "result-sandbox", Level: Must, Source: specResult,
			Text: "The result lists the container's interface, with CNI_NETNS as its sandbox.",
			try: func(t *Trial) {
				c := t.node(Large).container()
				t.inside(c.added(), c)
			},
		},
		{
			ID: "result-host-interfaces", Level: Must, Source: specResult,
			Text: "The result lists the interfaces that ADD made on the node, without a sandbox, and no others.",
			try: func(t *Trial) {
				n := t.node(Large)
				n.container().added() // what is made once for all is not this one's
				known := map[string]bool{}
				for _, l := range links(t, n.ns) {
					known[l.IfName] = true
				}
				var made []string
				listed := names(n.container().added().hostEnds())
				for _, l := range links(t, n.ns) {
					if !known[l.IfName] {
						made = append(made, l.IfName)
					}
				}
				slices.Sort(made)
				slices.Sort(listed)
				if !slices.Equal(made, listed) {
					t.note("made %v, listed %v", made, listed)
					t.fail("the result does not list exactly the interfaces that were made on the node")
				}
			},
		},
		{
			ID: "result-mac", Level: Must, Source: specResult,
			Text: "The result has the hardware address of each interface, as the kernel has it.",
			try: func(t *Trial) {
				n := t.node(Large)
				c := n.container()
				r := c.added()
				inside, _ := t.inside(r, c)
				outside := t.hostEnd(r)
				if !strings.EqualFold(inside.Mac, link(t, c.ns, inside.Name, "in the container").Address) {
					t.fail("the MAC of the container's interface is missing or wrong")
				}
				if !strings.EqualFold(outside.Mac, link(t, n.ns, outside.Name, "on the node").Address) {
					t.fail("the MAC of the node's interface is missing or wrong")
				}
			},
		},
		{
			ID: "result-mtu", Level: Should, Source: specResult, Since: v110,
			Text: "The result has the MTU of each interface, as the kernel has it.",
			try: func(t *Trial) {
				n := t.node(Large)
				c := n.container()
				r := c.added()
				inside, _ := t.inside(r, c)
				outside := t.hostEnd(r)
				if inside.MTU != link(t, c.ns, inside.Name, "in the container").MTU {
					t.fail("the MTU of the container's interface is missing or wrong")
				}
				if outside.MTU != link(t, n.ns, outside.Name, "on the node").MTU {
					t.fail("the MTU of the node's interface is missing or wrong")
				}
			},
		},
		{
			ID: "result-ip-interface", Level: Must, Source: specResult,
			Text: "Each address of the result names, by its index, the interface that has it.",
			try: func(t *Trial) {
				c := t.node(Large).container()
				r := c.added()
				_, index := t.inside(r, c)
				if len(r.IPs) == 0 {
					t.fail("the result lists no address")
				}
				for _, ip := range r.IPs {
					if ip.Interface == nil || *ip.Interface != index {
						t.fail("an address is not of the container's interface")
					}
				}
			},
		},
		{
			ID: "result-ip-family", Level: Must, Source: specFamily, Until: v040,
			Text: "Each address of the result says whether it is of version 4 or 6.",
			try: func(t *Trial) {
				for _, ip := range t.node(Large).container().added().IPs {
					if want := map[bool]string{true: "4", false: "6"}[ip.Address.Addr().Is4()]; ip.Version != want {
						t.fail("an address does not say its version")
					}
				}
			},
		},
		{
			ID: "result-gateway", Level: Should, Source: specResult,
			Text: "The gateway of each address is the next hop of the container's default route of that family.",
			try: func(t *Trial) {
				c := t.node(Large).container()
				for _, ip := range c.added().IPs {
					if !slices.ContainsFunc(c.routes(), func(r kernelRoute) bool { return r.Dst.Bits() == 0 && r.Gateway == ip.Gateway && ip.Gateway.IsValid() }) {
						t.fail("the IPv%d gateway is not the default route's", family(ip.Address.Addr()))
					}
				}
			},
		},
		{
			ID: "result-routes", Level: Must, Source: specResult,
			Text: "Each route of the result is in the container, by the next hop that is listed, and the default routes are among them.",
			try: func(t *Trial) {
				c := t.node(Large).container()
				r := c.added()
				have := c.routes()
				defaults := 0
				for _, want := range r.Routes {
					if want.Dst.Bits() == 0 {
						defaults++
					}
					if !slices.ContainsFunc(have, func(h kernelRoute) bool {
						return h.Dst == want.Dst && (!want.GW.IsValid() || h.Gateway == want.GW)
					}) {
						t.fail("a route that is listed is not in the container")
					}
				}
				if defaults != 2 {
					t.fail("the default routes of both families are not listed")
				}
			},
		},
	}
}

// kernelRoute is a route of the main table.
type kernelRoute struct {
	Dst     netip.Prefix
	Gateway netip.Addr
}

// routes of the container, of both families.
func (c *container) routes() []kernelRoute {
	var routes []kernelRoute
	for flag, all := range map[string]netip.Prefix{"-4": netip.MustParsePrefix("0.0.0.0/0"), "-6": netip.MustParsePrefix("::/0")} {
		var list []struct{ Dst, Gateway string }
		readJSON(c.node.t, c.ns, &list, flag, "-json", "route", "show")
		for _, l := range list {
			r := kernelRoute{Dst: all}
			if l.Dst != "default" {
				r.Dst = prefix(c.node.t, l.Dst)
			}
			if l.Gateway != "" {
				var err error
				r.Gateway, err = netip.ParseAddr(l.Gateway)
				c.node.t.must(err)
			}
			routes = append(routes, r)
		}
	}
	return routes
}

// prefix reads ip(8)'s form, which leaves the length of a single address out.
func prefix(t *Trial, text string) netip.Prefix {
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen())
	}
	p, err := netip.ParsePrefix(text)
	t.must(err)
	return p
}
