package conformance

import "fmt"

// What holds for the configuration on standard input.

func configObligations() []Obligation {
	return []Obligation{
		{
			ID: "config-decode", Level: Must, Source: specError, Since: v040,
			Text: "A configuration that is not a JSON object is refused with code 6, one whose cniVersion is no text with code 6 or 7.",
			try: func(t *Trial) {
				c := t.node(Large).container()
				for _, text := range []string{"", "?", "{", "[]", `"text"`, "\x00\xff"} {
					t.refusesWith(c.call("ADD", input(text)), fmt.Sprintf("ADD with configuration %q", text), 6)
				}
				t.refusesWith(c.call("ADD", key("cniVersion", 1)), "ADD with a number as cniVersion", 6, 7)
			},
		},
		{
			ID: "config-no-name", Level: Must, Source: specFormat, Since: v040,
			Text: "A configuration without the network's name is refused with code 7.",
			try: func(t *Trial) {
				c := t.node(Large).container()
				t.refusesWith(c.call("ADD", noKey("name")), "ADD without a network's name", 7)
			},
		},
		{
			ID: "config-bad-name", Level: Must, Source: specFormat, Since: v100,
			Text: "A configuration is refused with code 7 if the network's name does not start with a letter or digit, or has characters that a file path must not have.",
			try: func(t *Trial) {
				c := t.node(Large).container()
				for _, name := range []string{".x", "a/b", "../a", "a b"} {
					t.refusesWith(c.call("ADD", key("name", name)), fmt.Sprintf("network name %q", name), 7)
				}
			},
		},
		{
			ID: "config-version", Level: Must, Source: specError,
			Text: "A version of the specification that the plugin does not serve is refused, with code 1.",
			try: func(t *Trial) {
				c := t.node(Large).container()
				for _, verb := range []string{"ADD", "DEL"} {
					t.refusesWith(c.call(verb, key("cniVersion", "99.0.0")), verb+" of version 99.0.0", 1)
				}
			},
		},
		{
			ID: "config-previous", Level: Must, Source: specError,
			Text: "A prevResult that cannot be read is refused, with code 6 or 7; nothing is touched.",
			try: func(t *Trial) {
				n := t.node(Large)
				c := n.container()
				node, inside := n.look(), c.look()
				for _, prev := range []any{"text", map[string]any{"cniVersion": t.version, "ips": "none"}} {
					t.refusesWith(c.call("ADD", key("prevResult", prev)), "ADD with a prevResult that is none", 6, 7)
				}
				t.same("the node", node, n.look())
				t.same("the container", inside, c.look())
			},
		},
		{
			ID: "config-runtime-keys", Level: Should, Source: specFormat,
			Text: "Keys that only a runtime writes, known or of the future, do not hurt: runtimeConfig, args and those that start with cni.dev/.",
			try: func(t *Trial) {
				c := t.node(Large).container()
				t.succeeds(c.call("ADD",
					key("runtimeConfig", map[string]any{"ofTheFuture": true}),
					key("args", map[string]any{"cni": map[string]any{}}),
					key("cni.dev/of-the-future", 1),
				), "ADD")
			},
		},
	}
}
