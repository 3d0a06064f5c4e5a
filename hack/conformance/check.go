package conformance

import "fmt"

// CHECK finds what is broken. What it must allow is in checkchain.go.

func checkObligations() []Obligation {
	return []Obligation{
		{
			ID: "check-after-add", Level: Must, Source: specCheck, Since: v040,
			Text: "CHECK succeeds right after ADD, twice, and changes nothing.",
			try: func(t *Trial) {
				n := t.node(Large)
				c := n.container()
				c.added()
				node, inside, stored := n.look(), c.look(), n.stored()
				for range 2 {
					t.succeeds(c.call("CHECK"), "CHECK")
				}
				t.same("the node", node, n.look())
				t.same("the container", inside, c.look())
				t.same("the plugin's state", stored, n.stored())
			},
		},
		{
			ID: "check-before-0.4.0", Level: Should, Source: "0.3.1 parameters", Until: v031,
			Text: "CHECK with a configuration of a version that has no CHECK is refused.",
			try: func(t *Trial) {
				c := t.node(Large).container()
				c.added()
				t.refuses(c.call("CHECK"), "CHECK")
			},
		},
		{
			ID: "check-no-prev-result", Level: Must, Source: specCheck, Since: v040,
			Text: "CHECK without prevResult, of which it must know what to expect, fails.",
			try: func(t *Trial) {
				c := t.node(Large).container()
				c.added()
				t.refuses(c.call("CHECK", noKey("prevResult")), "CHECK without prevResult")
			},
		},
		broken("address", "an address of the result is gone from the container", func(c *container, r result) {
			c.ip(fmt.Sprintf("addr flush dev %s scope global to %s", c.ifName, r.IPs[0].Address.Masked()))
		}),
		broken("interface", "the container's interface is gone", func(c *container, _ result) {
			c.ip("link del " + c.ifName)
		}),
		broken("node-interface-down", "the node's end of the container's interface is down", func(c *container, r result) {
			c.node.ip("link set " + c.node.t.hostEnd(r).Name + " down")
		}),
		broken("interface-down", "the container's interface is down", func(c *container, _ result) {
			c.ip("link set " + c.ifName + " down")
		}),
		broken("route", "a route of the result is gone from the container", func(c *container, _ result) {
			c.ip("route del default")
		}),
		broken("route-6", "an IPv6 route of the result is gone from the container", func(c *container, _ result) {
			c.ip("route del ::/0")
		}),
		broken("node-route", "the node's route to the container is gone", func(c *container, r result) {
			for _, addr := range r.addresses()[:1] {
				c.node.ip(fmt.Sprintf("route del %s/32", addr))
			}
		}),
		broken("node-route-6", "the node's IPv6 route to the container is gone", func(c *container, r result) {
			for _, addr := range r.addresses()[1:] {
				c.node.ip(fmt.Sprintf("route del %s/128", addr))
			}
		}),
		broken("node-route-elsewhere", "the node's route to the container leads elsewhere", func(c *container, r result) {
			for _, addr := range r.addresses()[:1] {
				c.node.ip("link add elsewhere up type bridge", fmt.Sprintf("route del %s/32", addr), fmt.Sprintf("route add %s/32 dev elsewhere", addr))
			}
		}),
		broken("neighbour", "the container has a permanent neighbour entry of its gateway with a wrong MAC", func(c *container, r result) {
			c.ip(fmt.Sprintf("neigh replace %s lladdr 02:00:00:00:00:09 nud permanent dev %s", r.IPs[0].Gateway, c.ifName))
		}),
		broken("node-neighbour", "the node has a permanent neighbour entry of the container with a wrong MAC", func(c *container, r result) {
			c.node.ip(fmt.Sprintf("neigh replace %s lladdr 02:00:00:00:00:09 nud permanent dev %s", r.addresses()[0], c.node.t.hostEnd(r).Name))
		}),
		broken("forwarding", "the node no longer forwards what the container sends", func(c *container, r result) {
			_, err := c.node.run("", "sysctl", "-qw", fmt.Sprintf("net.ipv4.conf.%s.forwarding=0", c.node.t.hostEnd(r).Name))
			c.node.t.must(err)
		}),
		broken("reservation", "the plugin no longer knows that the address is taken", func(c *container, _ result) {
			c.node.forget()
		}),
		broken("namespace", "the container's namespace is gone", func(c *container, _ result) {
			c.release()
		}),
	}
}

// broken is the obligation of CHECK to fail after something was broken, and
// before that to succeed, or it would be no news.
func broken(id, text string, tamper func(*container, result)) Obligation {
	return Obligation{
		ID: "check-" + id, Level: Should, Source: specCheck, Since: v040, Text: "CHECK fails when " + text + ".",
		try: func(t *Trial) {
			c := t.node(Large).container()
			r := c.added()
			if len(r.IPs) != 2 || family(r.IPs[0].Address.Addr()) != 4 {
				t.fail("the result does not list an IPv4 and an IPv6 address")
			}
			t.succeeds(c.call("CHECK"), "CHECK right after ADD")
			tamper(c, r)
			t.refuses(c.call("CHECK"), "CHECK")
		},
	}
}
