package conformance

import (
	"fmt"
	"strings"
)

// What ADD makes. What it prints is in addresult.go, what it must refuse in
// addrefusal.go.

func addObligations() []Obligation {
	return []Obligation{
		{
			ID: "add-interface", Level: Must, Source: specAdd,
			Text: "ADD makes an interface in the container with the name that CNI_IFNAME asks for, up, with the addresses that the result lists for it and no others.",
			try: func(t *Trial) {
				c := t.node(Large).container()
				c.ifName = "fifteen-bytes-x"
				r := c.added()
				l := link(t, c.ns, c.ifName, "in the container")
				if !l.up() {
					t.fail("the interface is down")
				}
				_, index := t.inside(r, c)
				listed := map[string]bool{}
				for _, ip := range r.IPs {
					if ip.Interface != nil && *ip.Interface == index {
						listed[ip.Address.Addr().String()] = true
					}
				}
				for _, addr := range l.global() {
					if !listed[addr.String()] {
						t.fail("the interface has an address that is not listed")
					}
					delete(listed, addr.String())
				}
				if len(listed) != 0 {
					t.fail("an address that is listed is not on the interface")
				}
			},
		},
		{
			ID: "add-families", Level: Must, Source: specAdd,
			Text: "On a network of both families the container gets an address and a default route of each.",
			try: func(t *Trial) {
				c := t.node(Large).container()
				r := c.added()
				have := map[int]bool{}
				for _, addr := range r.addresses() {
					have[family(addr)] = true
				}
				for _, f := range []int{4, 6} {
					out, err := c.run("ip", fmt.Sprintf("-%d", f), "route", "show", "default")
					t.must(err)
					if !have[f] || !strings.Contains(out, "dev "+c.ifName) {
						t.fail("no IPv%d address or default route", f)
					}
				}
			},
		},
		{
			ID: "add-containers-ping", Level: Must, Source: "1.1.0 section 2, overview",
			Text: "Two containers of a node reach each other in both families.",
			try: func(t *Trial) {
				a, b, ra, rb := t.node(Large).pair()
				a.pings("first to second container", rb.addresses()...)
				b.pings("second to first container", ra.addresses()...)
			},
		},
		{
			ID: "add-node-pings", Level: Should, Source: fieldPractice,
			Text: "The node reaches its containers in both families, as probes of Kubernetes do.",
			try: func(t *Trial) {
				n := t.node(Large)
				for _, addr := range n.container().added().addresses() {
					if _, err := n.run("", "ping", "-n", "-c", "1", "-W", "5", addr.String()); err != nil {
						t.fail("no answer to an IPv%d packet", family(addr))
					}
				}
			},
		},
		{
			ID: "add-first-packet", Level: Should, Source: fieldPractice,
			Text: "When ADD has returned the first packet passes, in both families, with the kernel's own settings of address detection.",
			try: func(t *Trial) {
				n := t.node(Large)
				b := n.plainContainer()
				addrs := b.added().addresses()
				a := n.plainContainer()
				a.added()
				a.pings("the first packet", addrs...)
			},
		},
		{
			ID: "add-prev-result", Level: Must, Source: specAdd + "; section 5, ADD success",
			Text: "As a later plugin of a chain, ADD passes the interfaces, addresses, routes and DNS of prevResult on, in their order, and what it adds comes with the right ips[].interface.",
			try: func(t *Trial) {
				c := t.node(Large).container()
				a := c.call("ADD", key("prevResult", previous(t)))
				t.succeeds(a, "ADD with prevResult")
				r := t.result(a)
				switch {
				case len(r.Interfaces) < 2 || r.Interfaces[0].Name != "other0":
					t.fail("the interface of prevResult is lost")
				case len(r.IPs) < 2 || r.IPs[0].Address.String() != "192.0.2.9/24" || r.IPs[0].Interface == nil || *r.IPs[0].Interface != 0:
					t.fail("the address of prevResult is lost")
				case len(r.Routes) < 1 || r.Routes[0].Dst.String() != "198.51.100.0/24":
					t.fail("the route of prevResult is lost")
				case len(r.DNS.Nameservers) != 1:
					t.fail("the DNS of prevResult is lost")
				}
				_, index := t.inside(r, c)
				for _, ip := range r.IPs[1:] {
					if ip.Interface == nil || *ip.Interface != index {
						t.fail("an address that ADD gave is not of the container's interface")
					}
				}
			},
		},
		{
			ID: "add-second-interface", Level: Should, Source: specAdd,
			Text: "ADD of a second interface of the same container gives it an address of its own, or fails and leaves nothing; the first interface works as before, also after DEL of the second.",
			try: func(t *Trial) {
				n := t.node(Large)
				c, other := n.container(), n.container()
				first := c.added()
				other.added()
				before, inside := n.look(), c.look()
				a := c.call("ADD", with("CNI_IFNAME", "net1"))
				t.ended(a, "ADD of a second interface")
				if a.Status == 0 {
					for _, addr := range t.result(a).addresses() {
						for _, taken := range first.addresses() {
							if addr == taken {
								t.fail("both interfaces have the same address")
							}
						}
					}
				}
				t.succeeds(c.call("DEL", with("CNI_IFNAME", "net1"), noKey("prevResult")), "DEL of the second interface")
				t.same("the node", before, n.look())
				t.same("the container", inside, c.look())
				other.pings("another container to the first interface", first.addresses()...)
			},
		},
		{
			ID: "add-again", Level: Must, Source: specRuntime,
			Text: "After DEL the same container can be attached again, in the same namespace.",
			try: func(t *Trial) {
				c := t.node(Large).container()
				for range 2 {
					c.added()
					c.deleted()
				}
			},
		},
	}
}

// previous is the result of another plugin, in the trial's version.
func previous(t *Trial) map[string]any {
	ip := map[string]any{"interface": 0, "address": "192.0.2.9/24"}
	if !t.since(v100) {
		ip["version"] = "4"
	}
	return map[string]any{
		"cniVersion": t.version,
		"interfaces": []any{map[string]any{"name": "other0", "mac": "02:00:00:00:00:77", "sandbox": "/run/netns/other"}},
		"ips":        []any{ip},
		"routes":     []any{map[string]any{"dst": "198.51.100.0/24"}},
		"dns":        map[string]any{"nameservers": []any{"192.0.2.53"}},
	}
}
