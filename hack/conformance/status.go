package conformance

// STATUS says whether an ADD would work.

func statusObligations() []Obligation {
	return []Obligation{
		{
			ID: "status-ready", Level: Must, Source: specStatus, Since: v110,
			Text: "STATUS succeeds when the plugin is ready, and changes nothing.",
			try: func(t *Trial) {
				n := t.node(Large)
				n.container().added()
				node, stored := n.look(), n.stored()
				t.succeeds(n.call("STATUS"), "STATUS")
				t.same("the node", node, n.look())
				t.same("the plugin's state", stored, n.stored())
			},
		},
		{
			ID: "status-no-path", Level: Must, Source: specStatus, Since: v110,
			Text: "STATUS works without CNI_PATH, which is optional.",
			try: func(t *Trial) {
				t.succeeds(t.node(Large).call("STATUS", without("CNI_PATH")), "STATUS without CNI_PATH")
			},
		},
		{
			ID: "status-no-state", Level: Must, Source: specStatus, Since: v110,
			Text: "With the plugin's state gone STATUS says of ADD what is true: if it fails, so does STATUS, with code 50 or 51.",
			try: func(t *Trial) {
				n := t.node(Large)
				n.forget()
				a := n.call("STATUS")
				add := n.container().call("ADD")
				t.ended(add, "ADD without state")
				if add.Status == 0 {
					t.succeeds(a, "STATUS, while ADD succeeds,")
					return
				}
				t.refusesWith(a, "STATUS, while ADD fails,", codeUnavailable, codeLimited)
			},
		},
		{
			ID: "status-no-uplink", Level: Should, Source: fieldPractice, Since: v110,
			Text: "STATUS answers from what is on the node: it succeeds with all uplinks down.",
			try: func(t *Trial) {
				n := t.node(Large)
				n.ip("link set uplink0 down")
				t.succeeds(n.call("STATUS"), "STATUS")
			},
		},
		{
			ID: "status-exhausted", Level: Should, Source: specStatus, Since: v110,
			Text: "STATUS fails with code 50 or 51 when no address is free.",
			try: func(t *Trial) {
				n := t.node(Small)
				n.filled()
				t.refusesWith(n.call("STATUS"), "STATUS of a full node", codeUnavailable, codeLimited)
			},
		},
		{
			ID: "status-config", Level: Should, Source: specStatus + "; section 5, error", Since: v110,
			Text: "STATUS fails when the configuration is one that ADD refuses.",
			try: func(t *Trial) {
				n := t.node(Large)
				t.refusesWith(n.call("STATUS", input("?")), "STATUS of what is not JSON", 6)
				t.refusesWith(n.call("STATUS", noKey("name")), "STATUS without a network's name", 7)
			},
		},
		{
			ID: "status-before-1.1.0", Level: Should, Source: "1.0.0 section 2", Until: v100,
			Text: "STATUS with a configuration of a version that has no STATUS is refused.",
			try: func(t *Trial) {
				t.refuses(t.node(Large).call("STATUS"), "STATUS")
			},
		},
	}
}

// Codes of STATUS: no ADD works, and beside that containers may be cut off.
const (
	codeUnavailable = 50
	codeLimited     = 51
)
