package conformance

import "encoding/json"

// What plugins after this one in a chain may change, and then say in the result.

func checkChainObligations() []Obligation {
	return []Obligation{
		allowed("mac", "changed the MAC of the container's interface", func(c *container, r map[string]any) {
			const mac = "02:00:00:00:00:01"
			c.ip("link set " + c.ifName + " address " + mac)
			c.own(r)["mac"] = mac
		}),
		allowed("mtu", "changed the MTU of the container's interface", func(c *container, r map[string]any) {
			const mtu = 1400
			c.ip("link set " + c.ifName + " mtu 1400")
			if c.node.t.since(v110) {
				c.own(r)["mtu"] = mtu
			}
		}),
		allowed("address", "added an address and a route", func(c *container, r map[string]any) {
			c.ip("addr add 198.51.100.9/32 dev "+c.ifName, "route add 203.0.113.0/24 dev "+c.ifName)
			ip := map[string]any{"address": "198.51.100.9/32", "interface": c.index(r)}
			if !c.node.t.since(v100) {
				ip["version"] = "4"
			}
			r["ips"] = append(array(r["ips"]), ip)
			r["routes"] = append(array(r["routes"]), map[string]any{"dst": "203.0.113.0/24"})
		}),
		allowed("unlisted", "added an address without listing it", func(c *container, _ map[string]any) {
			c.ip("addr add 198.51.100.9/32 dev " + c.ifName)
		}),
		allowed("interface", "added an interface with an address", func(c *container, r map[string]any) {
			c.ip("link add net1 type bridge", "addr add 198.51.100.9/24 dev net1")
			ip := map[string]any{"address": "198.51.100.9/24", "interface": len(array(r["interfaces"]))}
			if !c.node.t.since(v100) {
				ip["version"] = "4"
			}
			r["interfaces"] = append(array(r["interfaces"]), map[string]any{"name": "net1", "sandbox": c.netns()})
			r["ips"] = append(array(r["ips"]), ip)
		}),
		allowed("route", "taken the IPv6 default route away, and out of the result", func(c *container, r map[string]any) {
			c.ip("route del ::/0")
			var kept []any
			for _, route := range array(r["routes"]) {
				if object(route)["dst"] != "::/0" {
					kept = append(kept, route)
				}
			}
			r["routes"] = kept
		}),
	}
}

// allowed is the obligation of CHECK to succeed after a later plugin of the chain
// has altered something, and the result with it.
func allowed(id, text string, alter func(c *container, prev map[string]any)) Obligation {
	return Obligation{
		ID: "check-chain-" + id, Level: Must, Source: specCheck, Since: v040,
		Text: "CHECK succeeds after a later plugin of the chain has " + text + ".",
		try: func(t *Trial) {
			c := t.node(Large).container()
			t.inside(c.added(), c)
			var prev map[string]any
			t.must(json.Unmarshal(c.prev, &prev))
			alter(c, prev)
			t.succeeds(c.call("CHECK", key("prevResult", prev)), "CHECK")
		},
	}
}

// index of the container's interface in a result.
func (c *container) index(prev map[string]any) int {
	for i, o := range array(prev["interfaces"]) {
		if object(o)["sandbox"] == c.netns() {
			return i
		}
	}
	c.node.t.fail("the result does not list the container's interface")
	return 0
}

// own is the container's interface in a result.
func (c *container) own(prev map[string]any) map[string]any {
	return object(array(prev["interfaces"])[c.index(prev)])
}

// array and object are those of decoded JSON, empty if it is something else.

func array(v any) []any {
	list, _ := v.([]any)
	return list
}

func object(v any) map[string]any {
	o, _ := v.(map[string]any)
	return o
}
