package conformance

// What DEL leaves behind, and what it leaves alone.

func delTraceObligations() []Obligation {
	return []Obligation{
		{
			ID: "del-no-namespace-no-trace", Level: Should, Source: specDel,
			Text: "DEL without CNI_NETNS and prevResult removes all the same what ADD made on the node.",
			try: func(t *Trial) {
				n := t.node(Large)
				n.container().added()
				node := n.look()
				c := n.container()
				c.added()
				t.succeeds(c.call("DEL", without("CNI_NETNS"), noKey("prevResult")), "DEL")
				t.same("the node", node, n.look())
			},
		},
		{
			ID: "del-other-containers", Level: Must, Source: specDel,
			Text: "DEL of one container leaves the others as they are.",
			try: func(t *Trial) {
				n := t.node(Large)
				a, b, ra, rb := n.pair()
				inside := [][]string{a.look(), b.look()}
				c := n.container()
				c.added()
				c.deleted()
				t.same("the first container", inside[0], a.look())
				t.same("the second container", inside[1], b.look())
				a.pings("first to second container", rb.addresses()...)
				b.pings("second to first container", ra.addresses()...)
			},
		},
		{
			ID: "del-foreign-result", Level: Should, Source: fieldPractice,
			Text: "DEL of a container with a prevResult that lists another's address, as after a reboot, does not free that.",
			try: func(t *Trial) {
				n := t.node(Small)
				live := n.container()
				addrs := live.added().addresses()
				stale := n.container()
				stale.prev = live.prev
				t.succeeds(stale.call("DEL"), "DEL with another's result")
				other := n.container()
				other.added()
				other.pings("a container to the one whose address it is", addrs...)
				n.hasRoom(int(Small) - 2)
			},
		},
		{
			ID: "del-node-namespace", Level: Should, Source: fieldPractice,
			Text: "DEL with a CNI_NETNS that has come to lead to the node's own namespace succeeds and leaves the node's interface of that name alone.",
			try: func(t *Trial) {
				n := t.node(Large)
				n.ip("link add eth0 type bridge")
				c := n.container()
				c.added()
				t.succeeds(c.call("DEL", with("CNI_NETNS", n.ns.Path())), "DEL with the node's own namespace")
				if !hasLink(t, n.ns, "eth0") {
					t.fail("the node's own interface was deleted")
				}
			},
		},
		{
			ID: "del-foreign-namespace", Level: Should, Source: fieldPractice,
			Text: "DEL with a CNI_NETNS that has come to lead to another container's namespace succeeds and leaves that attached.",
			try: func(t *Trial) {
				n := t.node(Large)
				live, other, stale := n.container(), n.container(), n.container()
				addrs := live.added().addresses()
				other.added()
				stale.added()
				t.succeeds(stale.call("DEL", with("CNI_NETNS", live.netns())), "DEL with another container's namespace")
				if !hasLink(t, live.ns, live.ifName) {
					t.fail("another container's interface was deleted")
				}
				other.pings("a container to the one whose namespace it is", addrs...)
			},
		},
	}
}
