package conformance

import (
	"fmt"
	"slices"
	"strings"
)

// What holds for all verbs: environment, standard output, exit status, errors.

func protocolObligations() []Obligation {
	return []Obligation{
		{
			ID: "exit-status", Level: Must, Source: specErrors,
			Text: "A call that fails exits with a status other than 0, one that succeeds with 0.",
			try: func(t *Trial) {
				c := t.node(Large).container()
				c.added()
				c.deleted()
				t.refuses(c.call("ADD", with("CNI_NETNS", "/run/netns/is-not-there")), "ADD without a namespace")
			},
		},
		{
			ID: "error-object", Level: Should, Source: specError,
			Text: "A call that fails prints on standard output one JSON object, with a code above 0 and a message.",
			try: func(t *Trial) {
				c := t.node(Large).container()
				for _, a := range c.failing() {
					f, err := a.failure()
					switch {
					case err != nil:
						t.fail("%s: no error object with a code on standard output", a.what)
					case f.Msg == "":
						t.fail("%s: the error has no message", a.what)
					}
				}
			},
		},
		{
			ID: "error-version", Level: Should, Source: specError,
			Text: "The error object has the version of the request as its cniVersion.",
			try: func(t *Trial) {
				f, err := t.node(Large).container().call("ADD", with("CNI_NETNS", "/run/netns/is-not-there")).failure()
				if err != nil || f.CNIVersion != t.version {
					t.fail("the error does not have the request's cniVersion")
				}
			},
		},
		{
			ID: "error-code-reserved", Level: Must, Source: specError,
			Text: "An error has a code that the specification knows, or one of the plugin's own from 100.",
			try: func(t *Trial) {
				c := t.node(Large).container()
				for _, a := range c.failing() {
					f, err := a.failure()
					if err != nil {
						t.fail("%s: no error object with a code on standard output", a.what)
					}
					if f.Code < 100 && !slices.Contains([]uint{1, 2, 3, 4, 5, 6, 7, 11, 50, 51}, f.Code) {
						t.fail("%s fails with code %d, which is reserved and means nothing", a.what, f.Code)
					}
				}
			},
		},
		{
			ID: "stdout-result", Level: Must, Source: "1.1.0 section 5",
			Text: "A successful ADD prints its result on standard output, and nothing else.",
			try: func(t *Trial) {
				c := t.node(Large).container()
				a := c.call("ADD")
				t.succeeds(a, "ADD")
				t.result(a)
			},
		},
		{
			ID: "stdout-empty", Level: Should, Source: specGC + "; 0.4.0 parameters, CHECK",
			Text: "The other verbs but VERSION print nothing on standard output when they succeed.",
			try: func(t *Trial) {
				n := t.node(Large)
				c := n.container()
				c.added()
				answers := map[string]Answer{}
				if t.since(v040) {
					answers["CHECK"] = c.call("CHECK")
				}
				if t.since(v110) {
					answers["STATUS"], answers["GC"] = n.call("STATUS"), n.call("GC", valid(c))
				}
				answers["DEL"] = c.call("DEL")
				for _, verb := range []string{"CHECK", "STATUS", "GC", "DEL"} {
					a := answers[verb]
					t.succeeds(a, verb)
					if a.Stdout != "" {
						t.fail("%s prints something on standard output", verb)
					}
				}
			},
		},
		{
			ID: "process-left", Level: Should, Source: fieldPractice,
			Text: "When a call has ended, no process of the plugin is left in the node's or the container's namespace.",
			try: func(t *Trial) {
				n := t.node(Large)
				c := n.container()
				c.added()
				if processes(t, n.ns, c.ns) != 0 {
					t.fail("a process is left after ADD")
				}
				c.deleted()
				if processes(t, n.ns, c.ns) != 0 {
					t.fail("a process is left after DEL")
				}
			},
		},
		{
			ID: "command-unknown", Level: Must, Source: specParams,
			Text: "A CNI_COMMAND that is no verb is refused, with code 4.",
			try: func(t *Trial) {
				c := t.node(Large).container()
				for _, verb := range []string{"REMOVE", "add", " ADD"} {
					t.refusesWith(c.call(verb), fmt.Sprintf("CNI_COMMAND %q", verb), 4)
				}
			},
		},
		required("ADD", "", "CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"),
		required("DEL", "", "CNI_CONTAINERID", "CNI_IFNAME"),
		required("CHECK", v040, "CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"),
		required("GC", v110, "CNI_PATH"),
		optional("CNI_ARGS", "env-no-args"),
		optional("CNI_PATH", "env-no-path"),
		{
			ID: "env-container-id", Level: Must, Source: specParams, Since: v040,
			Text: "A CNI_CONTAINERID that does not start with a letter or digit, or has other characters than letters, digits, '_', '.' and '-', is refused with code 4.",
			try: func(t *Trial) {
				c := t.node(Large).container()
				for _, id := range []string{".hidden", "-x", "_x", "a/b", "../x", "a b", "a\nb", "ä"} {
					t.refusesWith(c.call("ADD", with("CNI_CONTAINERID", id)), fmt.Sprintf("container ID %q", id), 4)
				}
			},
		},
		{
			ID: "env-interface-name", Level: Must, Source: specIfName, Since: v040,
			Text: "A CNI_IFNAME that no interface can have (16 bytes or more, '.', '..', a '/', a ':', a space) is refused with code 4.",
			try: func(t *Trial) {
				c := t.node(Large).container()
				for _, name := range []string{"sixteen-bytes-16", ".", "..", "a/b", "a:b", "a b", "a\tb"} {
					t.refusesWith(c.call("ADD", with("CNI_IFNAME", name)), fmt.Sprintf("interface name %q", name), 4)
				}
			},
		},
		{
			ID: "container-id-kept", Level: Must, Source: specParams,
			Text: "Every container ID that is allowed works: with dots, hyphens and underscores, of 64 and of 200 characters, and two that differ in the last one only.",
			try: func(t *Trial) {
				n := t.node(Large)
				seen := map[string]bool{}
				for _, id := range []string{"0", "a.b_c-D.9", strings.Repeat("f", 64), strings.Repeat("f", 63) + "e", strings.Repeat("x", 200), strings.Repeat("x", 199) + "y"} {
					c := n.container()
					c.id = id
					a := c.call("ADD")
					t.succeeds(a, "ADD")
					r := t.result(a)
					for _, what := range append(names(r.hostEnds()), fmt.Sprint(r.addresses())) {
						if seen[what] {
							t.fail("two containers have an interface or an address in common")
						}
						seen[what] = true
					}
					t.succeeds(c.call("DEL"), "DEL")
				}
			},
		},
		{
			ID: "args-unknown", Level: Should, Source: fieldPractice,
			Text: "CNI_ARGS with keys that the plugin does not know do not hurt when IgnoreUnknown=1 is among them.",
			try: func(t *Trial) {
				c := t.node(Large).container()
				t.succeeds(c.call("ADD", with("CNI_ARGS", "IgnoreUnknown=1;OF_THE_FUTURE=1;K8S_POD_NAME=web")), "ADD")
			},
		},
		{
			ID: "args-strict", Level: Should, Source: fieldPractice,
			Text: "Without IgnoreUnknown a key that the plugin does not know is passed over, or refused by an error that names it, and then nothing is left.",
			try: func(t *Trial) {
				n := t.node(Large)
				c := n.container()
				node, inside := n.look(), c.look()
				a := c.call("ADD", with("CNI_ARGS", "OF_THE_FUTURE=1"))
				t.ended(a, "ADD")
				if a.Status == 0 {
					return
				}
				if f, err := a.failure(); err != nil || !f.says("OF_THE_FUTURE") {
					t.fail("the error does not name the key")
				}
				t.same("the node", node, n.look())
				t.same("the container", inside, c.look())
			},
		},
	}
}

// refused is the answer to a call that cannot succeed.
type refused struct {
	Answer
	what string
}

// failing are some of them.
func (c *container) failing() []refused {
	return []refused{
		{c.call("ADD", with("CNI_NETNS", "/run/netns/is-not-there")), "ADD without a namespace"},
		{c.call("ADD", without("CNI_IFNAME")), "ADD without CNI_IFNAME"},
		{c.call("ADD", input("?")), "ADD of what is not JSON"},
		{c.call("ADD", key("cniVersion", "99.0.0")), "ADD of an unknown version"},
	}
}

func names(links []netInterface) []string {
	var names []string
	for _, l := range links {
		names = append(names, l.Name)
	}
	return names
}

// optional is the obligation to work without a parameter.
func optional(variable, id string) Obligation {
	return Obligation{
		ID: id, Level: Must, Source: specAdd + "; DEL; CHECK",
		Text: "ADD, CHECK and DEL work without " + variable + ", which is optional.",
		try: func(t *Trial) {
			c := t.node(Large).container()
			a := c.call("ADD", without(variable))
			t.succeeds(a, "ADD without "+variable)
			c.prev = []byte(a.Stdout)
			if t.since(v040) {
				t.succeeds(c.call("CHECK", without(variable)), "CHECK without "+variable)
			}
			t.succeeds(c.call("DEL", without(variable)), "DEL without "+variable)
		},
	}
}

// required is the obligation of a verb to refuse calls without a parameter.
func required(verb, since string, variables ...string) Obligation {
	return Obligation{
		ID: strings.ToLower(verb) + "-required", Level: Must, Source: "1.1.0 section 2, " + verb + "; section 5, error", Since: since,
		Text: fmt.Sprintf("%s without %s is refused, with code 4 and the name of what is missing; nothing is touched.", verb, strings.Join(variables, " or without ")),
		try: func(t *Trial) {
			n := t.node(Large)
			c := n.container()
			if verb != "ADD" {
				c.added()
			}
			node, inside := n.look(), c.look()
			for _, name := range variables {
				what := verb + " without " + name
				a := c.call(verb, without(name))
				t.refusesWith(a, what, 4)
				if f, err := a.failure(); t.since(v040) && (err != nil || !f.says(name)) {
					t.fail("%s: the error does not name it", what)
				}
				t.same("the node", node, n.look())
				t.same("the container", inside, c.look())
			}
		},
	}
}
