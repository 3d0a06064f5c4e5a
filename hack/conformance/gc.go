package conformance

// GC removes what is in no list of valid attachments, and nothing else.

func gcObligations() []Obligation {
	return []Obligation{
		{
			ID: "gc-frees", Level: Should, Source: specGC, Since: v110,
			Text: "GC frees the addresses of attachments that are not listed as valid.",
			try: func(t *Trial) {
				n := t.node(Small)
				containers := n.filled()
				for _, c := range containers[1:] {
					c.release()
				}
				t.succeeds(n.call("GC", valid(containers[0])), "GC")
				n.hasRoom(int(Small) - 1)
			},
		},
		{
			ID: "gc-node", Level: Should, Source: specGC, Since: v110,
			Text: "GC removes from the node the interfaces and routes of attachments that are not listed, also where their namespaces live on.",
			try: func(t *Trial) {
				n := t.node(Large)
				kept := n.container()
				kept.added()
				node := n.look()
				n.container().added()
				n.container().added()
				t.succeeds(n.call("GC", valid(kept)), "GC")
				t.same("the node", node, n.look())
			},
		},
		{
			ID: "gc-keeps", Level: Must, Source: specGC, Since: v110,
			Text: "GC keeps what is listed: the containers reach each other, CHECK succeeds, and their addresses are not given again.",
			try: func(t *Trial) {
				n := t.node(Small)
				c := n.filled()
				var last result
				t.must(decode(c[1].prev, &last))
				node := n.look()
				t.succeeds(n.call("GC", valid(c...)), "GC")
				t.same("the node", node, n.look())
				c[0].pings("a valid container to another", last.addresses()...)
				t.succeeds(c[0].call("CHECK"), "CHECK of a valid container")
				n.hasRoom(0)
			},
		},
		{
			ID: "gc-all", Level: Should, Source: specGC, Since: v110,
			Text: "GC with an empty list removes all attachments of the network.",
			try: func(t *Trial) {
				n := t.node(Small)
				n.filled()
				t.succeeds(n.call("GC", valid()), "GC")
				n.hasRoom(int(Small))
			},
		},
		{
			ID: "gc-no-list", Level: Should, Source: specGC + "; " + fieldPractice, Since: v110,
			Text: "GC without the list of valid attachments, as by libraries that name it otherwise, removes nothing.",
			try: func(t *Trial) {
				n := t.node(Small)
				n.filled()
				node := n.look()
				t.ended(n.call("GC"), "GC without a list")
				t.same("the node", node, n.look())
				n.hasRoom(0)
			},
		},
		{
			ID: "gc-interface", Level: Should, Source: specGC, Since: v110,
			Text: "An attachment is a container and an interface: one that is listed with another interface name is not valid.",
			try: func(t *Trial) {
				n := t.node(Small)
				containers := n.filled()
				last := containers[len(containers)-1]
				last.ifName = "net1"
				t.succeeds(n.call("GC", valid(containers...)), "GC")
				n.hasRoom(1)
			},
		},
		{
			ID: "gc-other-network", Level: Must, Source: specGC, Since: v110,
			Text: "GC of one network leaves the attachments of another as they are, with the same plugin and state.",
			try: func(t *Trial) {
				n := t.node(Large)
				c, other := n.container(), n.container()
				a := c.call("ADD", key("name", "other-network"))
				t.succeeds(a, "ADD to another network")
				c.prev = []byte(a.Stdout)
				first := t.result(a)
				other.added()
				node := n.look()
				t.succeeds(n.call("GC", valid(other)), "GC")
				t.same("the node", node, n.look())
				other.pings("a container to one of another network", first.addresses()...)
				t.succeeds(c.call("CHECK", key("name", "other-network")), "CHECK in the other network")
			},
		},
		{
			ID: "gc-unknown", Level: Should, Source: specGC, Since: v110,
			Text: "GC succeeds, and twice, with valid attachments that it does not know and with none to remove.",
			try: func(t *Trial) {
				n := t.node(Large)
				c := n.container()
				c.added()
				for range 2 {
					t.succeeds(n.call("GC", valid(c, n.container())), "GC")
				}
				t.succeeds(c.call("CHECK"), "CHECK after GC")
			},
		},
		{
			ID: "gc-no-state", Level: Should, Source: specGC, Since: v110,
			Text: "GC with the plugin's state gone succeeds.",
			try: func(t *Trial) {
				n := t.node(Large)
				n.forget()
				t.succeeds(n.call("GC", valid()), "GC without state")
			},
		},
		{
			ID: "gc-goes-on", Level: Should, Source: specGC, Since: v110,
			Text: "GC goes on after an error, and reports it: one attachment that cannot be removed does not keep the others.",
			try: func(t *Trial) {
				n := t.node(Small)
				containers := n.filled()
				n.unremovable(containers[1])
				a := n.call("GC", valid(containers[0]))
				t.refuses(a, "GC of an attachment that cannot be removed")
				n.hasRoom(int(Small) - 2)
			},
		},
		{
			ID: "gc-before-1.1.0", Level: Should, Source: "1.0.0 section 2", Until: v100,
			Text: "GC with a configuration of a version that has no GC is refused and removes nothing.",
			try: func(t *Trial) {
				n := t.node(Large)
				n.container().added()
				node := n.look()
				t.refuses(n.call("GC", valid()), "GC")
				t.same("the node", node, n.look())
			},
		},
	}
}

// filled attaches as many containers as a small node has room for.
func (n *node) filled() []*container {
	var containers []*container
	for range int(Small) {
		c := n.container()
		c.added()
		containers = append(containers, c)
	}
	return containers
}

// unremovable puts a link that the kernel does not delete in the place of the
// node's end of a container's link: the loopback device by that name.
func (n *node) unremovable(c *container) {
	var r result
	n.t.must(decode(c.prev, &r))
	name := n.t.hostEnd(r).Name
	n.ip("link del "+name, "link set lo down", "link set lo name "+name)
}
