package conformance

// DEL, whatever is missing. What it must leave alone is in deltrace.go.

func delObligations() []Obligation {
	return []Obligation{
		{
			ID: "del-removes", Level: Must, Source: specDel,
			Text: "DEL removes the interface from the container, and all that ADD made on the node.",
			try: func(t *Trial) {
				n := t.node(Large)
				n.container().added()
				c := n.container()
				node, inside := n.look(), c.look()
				c.added()
				c.deleted()
				t.same("the node", node, n.look())
				t.same("the container", inside, c.look())
			},
		},
		freed("del-frees", specDel, "DEL frees the addresses: ADD and DEL in turns never exhaust a small network.",
			func(c *container) Answer { return c.call("DEL") }),
		freed("del-no-prev-result", specDel, "DEL without prevResult succeeds and frees the addresses.",
			func(c *container) Answer { return c.call("DEL", noKey("prevResult")) }),
		freed("del-namespace-gone", specDel, "DEL with a CNI_NETNS that is gone succeeds and frees the addresses.",
			func(c *container) Answer {
				c.release()
				return c.call("DEL")
			}),
		freed("del-namespace-empty", specDel, "DEL with an empty CNI_NETNS succeeds and frees the addresses.",
			func(c *container) Answer { return c.call("DEL", with("CNI_NETNS", "")) }),
		freed("del-namespace-unset", specDel, "DEL without CNI_NETNS succeeds and frees the addresses.",
			func(c *container) Answer { return c.call("DEL", without("CNI_NETNS")) }),
		freed("del-interface-gone", specDel, "DEL succeeds and frees the addresses when the container's interface is gone.",
			func(c *container) Answer {
				c.ip("link del eth0")
				return c.call("DEL")
			}),
		freed("del-after-failed-add", specRuntime, "DEL after an ADD that failed succeeds, and no address is lost.",
			func(c *container) Answer {
				c.node.t.succeeds(c.call("DEL"), "DEL")
				c.node.t.refuses(c.call("ADD", fullOutput), "ADD that cannot write its result")
				return c.call("DEL", noKey("prevResult"))
			}),
		{
			ID: "del-twice", Level: Must, Source: specDel,
			Text: "DEL of what is deleted already succeeds, again and again, and frees nobody else's address.",
			try: func(t *Trial) {
				n := t.node(Small)
				c := n.container()
				c.added()
				c.deleted()
				heir := n.container()
				addrs := heir.added().addresses()
				other := n.container()
				other.added()
				for range 3 {
					t.succeeds(c.call("DEL"), "another DEL")
				}
				other.pings("a container to one that came later", addrs...)
				n.hasRoom(int(Small) - 2)
			},
		},
		{
			ID: "del-unknown", Level: Must, Source: specDel,
			Text: "DEL of a container that never was succeeds and changes nothing.",
			try: func(t *Trial) {
				n := t.node(Small)
				n.container().added()
				c := n.container()
				node, inside := n.look(), c.look()
				t.succeeds(c.call("DEL"), "DEL of what never was")
				t.same("the node", node, n.look())
				t.same("the container", inside, c.look())
				n.hasRoom(int(Small) - 1)
			},
		},
		{
			ID: "del-no-state", Level: Must, Source: specDel,
			Text: "DEL with the plugin's state gone succeeds and removes the interface.",
			try: func(t *Trial) {
				n := t.node(Large)
				c := n.container()
				node := n.look()
				c.added()
				n.forget()
				t.succeeds(c.call("DEL"), "DEL without state")
				if hasLink(t, c.ns, c.ifName) {
					t.fail("the interface is left in the container")
				}
				t.same("the node", node, n.look())
			},
		},
	}
}

// freed is an obligation of DEL to free addresses: so often that a small node
// would be full if it did not, and then all addresses must be there.
func freed(id, source, text string, del func(*container) Answer) Obligation {
	return Obligation{ID: id, Level: Must, Source: source, Text: text, try: func(t *Trial) {
		n := t.node(Small)
		for range int(Small) + 1 {
			c := n.container()
			c.added()
			t.succeeds(del(c), "DEL")
		}
		n.hasRoom(int(Small))
	}}
}
