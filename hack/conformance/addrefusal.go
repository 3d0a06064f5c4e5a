package conformance

import (
	"os"
	"path/filepath"
)

// What ADD must refuse, and what a failed ADD leaves: nothing.

func addRefusalObligations() []Obligation {
	return []Obligation{
		{
			ID: "add-existing-interface", Level: Must, Source: specAdd,
			Text: "ADD fails if the container has an interface of that name.",
			try: func(t *Trial) {
				c := t.node(Large).container()
				c.ip("link add eth0 type bridge")
				t.refuses(c.call("ADD"), "ADD of an interface that is there")
			},
		},
		{
			ID: "add-existing-untouched", Level: Should, Source: fieldPractice,
			Text: "ADD of an interface that is there touches nothing before it fails: neither links, addresses, routes, nor its own state.",
			try: func(t *Trial) {
				n := t.node(Large)
				n.container().added() // what is made once for all is there
				c := n.container()
				c.ip("link add eth0 type bridge", "addr add 198.51.100.1/24 dev eth0")
				node, inside, stored := n.look(), c.look(), n.stored()
				t.refuses(c.call("ADD"), "ADD of an interface that is there")
				t.same("the node", node, n.look())
				t.same("the container", inside, c.look())
				t.same("the plugin's state", stored, n.stored())
			},
		},
		{
			ID: "add-node-namespace", Level: Should, Source: fieldPractice,
			Text: "ADD with a CNI_NETNS that is the node's own namespace is refused and touches nothing.",
			try: func(t *Trial) {
				n := t.node(Large)
				n.container().added()
				node, stored := n.look(), n.stored()
				t.refuses(n.container().call("ADD", with("CNI_NETNS", n.ns.Path())), "ADD in the node's own namespace")
				t.same("the node", node, n.look())
				t.same("the plugin's state", stored, n.stored())
			},
		},
		{
			ID: "add-no-namespace", Level: Must, Source: specAdd,
			Text: "ADD with a CNI_NETNS that is not there, or is no namespace, is refused and leaves nothing.",
			try: func(t *Trial) {
				n := t.node(Small)
				node := n.look()
				file := filepath.Join(t.scratch, "file")
				t.must(os.WriteFile(file, nil, 0o600))
				for range int(Small) {
					for _, path := range []string{"/run/netns/is-not-there", file} {
						t.refuses(n.container().call("ADD", with("CNI_NETNS", path)), "ADD without a namespace")
					}
				}
				t.same("the node", node, n.look())
				n.hasRoom(int(Small))
			},
		},
		{
			ID: "add-undo-routed", Level: Should, Source: fieldPractice,
			Text: "ADD of an address that the node routes elsewhere works, or fails and leaves no link, address or route.",
			try: func(t *Trial) {
				n := t.node(Small)
				n.occupy()
				c := n.container()
				node, inside := n.look(), c.look()
				a := c.call("ADD")
				t.ended(a, "ADD")
				if a.Status != 0 {
					t.same("the node", node, n.look())
					t.same("the container", inside, c.look())
				}
			},
		},
		{
			ID: "add-undo-output", Level: Should, Source: specErrors + "; " + fieldPractice,
			Text: "An ADD that cannot write its result fails and leaves no link, address or route.",
			try: func(t *Trial) {
				n := t.node(Small)
				n.container().added() // what is made once for all is there
				c := n.container()
				node, inside := n.look(), c.look()
				t.refuses(c.call("ADD", fullOutput), "ADD that cannot write its result")
				t.same("the node", node, n.look())
				t.same("the container", inside, c.look())
			},
		},
		{
			ID: "add-undo-addresses", Level: Should, Source: "1.1.0 section 4; " + fieldPractice,
			Text: "ADDs that fail half way, by an address that is routed elsewhere or a result that cannot be written, keep no address.",
			try: func(t *Trial) {
				n := t.node(Small)
				for range 2 * int(Small) {
					n.occupy()
					c := n.container()
					if a := c.call("ADD"); a.Status == 0 {
						t.succeeds(c.call("DEL"), "DEL")
					}
					n.vacate()
					t.refuses(n.container().call("ADD", fullOutput), "ADD that cannot write its result")
				}
				n.hasRoom(int(Small))
			},
		},
		{
			ID: "add-twice", Level: Must, Source: specAdd,
			Text: "A second ADD of the same container and interface without DEL fails, and the first attachment works as before.",
			try: func(t *Trial) {
				n := t.node(Large)
				c, other := n.container(), n.container()
				addrs := c.added().addresses()
				other.added()
				node, inside := n.look(), c.look()
				t.refuses(c.call("ADD"), "the second ADD")
				t.same("the node", node, n.look())
				t.same("the container", inside, c.look())
				other.pings("another container to this", addrs...)
			},
		},
		{
			ID: "add-twice-elsewhere", Level: Should, Source: fieldPractice,
			Text: "An ADD of a container and interface that are attached already, but with another namespace, fails and leaves nothing; the first attachment works as before.",
			try: func(t *Trial) {
				n := t.node(Large)
				c, other, third := n.container(), n.container(), n.container()
				addrs := c.added().addresses()
				other.added()
				node, inside := n.look(), third.look()
				t.refuses(c.call("ADD", with("CNI_NETNS", third.netns())), "ADD with another namespace")
				t.same("the node", node, n.look())
				t.same("the container", inside, third.look())
				other.pings("another container to the first", addrs...)
			},
		},
		{
			ID: "add-full", Level: Should, Source: specError,
			Text: "When no address is free, ADD fails with code 11 (try again later) and leaves nothing.",
			try: func(t *Trial) {
				n := t.node(Small)
				if n.room() != int(Small) {
					t.fail("not all addresses of the node are given")
				}
				c := n.container()
				node, inside := n.look(), c.look()
				a := c.call("ADD")
				t.refuses(a, "ADD on a full node")
				t.same("the node", node, n.look())
				t.same("the container", inside, c.look())
				if f, err := a.failure(); err != nil || f.Code != codeLater {
					t.fail("ADD on a full node fails%s, not with 11", a.withCode())
				}
			},
		},
		{
			ID: "add-no-state", Level: Should, Source: specError,
			Text: "With the plugin's state gone ADD works, or fails with code 11 (try again later) and leaves nothing.",
			try: func(t *Trial) {
				n := t.node(Large)
				c := n.container()
				n.forget()
				node, inside := n.look(), c.look()
				a := c.call("ADD")
				t.ended(a, "ADD without state")
				if a.Status == 0 {
					return
				}
				if f, err := a.failure(); err != nil || f.Code != codeLater {
					t.fail("ADD without state fails%s, not with 11", a.withCode())
				}
				t.same("the node", node, n.look())
				t.same("the container", inside, c.look())
			},
		},
	}
}

// codeLater is the code of what may pass: try again later.
const codeLater = 11
