package runtime

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/cniplugin/store"
	"fairlead.dev/hack/lab"
)

// allocations are what a node's store holds.
func allocations(t *testing.T, n *lab.Node) []store.Allocation {
	t.Helper()
	st, err := storeOf(n)
	if err != nil {
		t.Fatal(err)
	}
	return st.Allocations
}

// traces is all that pods leave on a machine while they are there, line by line:
// kernel objects of every plugin, files of plugins and runtimes, addresses.
func (m *machine) traces(t *testing.T) []string {
	t.Helper()
	var lines []string
	add := func(what, text string) {
		for line := range strings.Lines(text) {
			lines = append(lines, what+": "+strings.Join(strings.Fields(line), " "))
		}
	}
	add("link", m.run(t, "ip", "-br", "link", "show"))
	for _, family := range []string{"-4", "-6"} {
		// The agent's routes, one line each, are of other nodes' pods.
		routes := m.run(t, "ip", "-o", family, "route", "show", "table", "all")
		for route := range strings.Lines(routes) {
			if !strings.Contains(route, " proto "+lab.AgentProtocol()+" ") {
				add("route"+family, route)
			}
		}
		add("rule"+family, m.run(t, "ip", family, "rule", "show"))
	}
	add("qdisc", m.run(t, "tc", "qdisc", "show"))
	add("rules", m.run(t, "nft", "--stateless", "list", "ruleset"))
	add("file", m.run(t, "find", "/run", "/var/lib", "-xdev")) // the machine's own of furnish
	for _, a := range allocations(t, m.lab.Node(m.node)) {
		lines = append(lines, fmt.Sprintf("address: %s of %s", a.Address, a.ContainerID))
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// leavesNothing fails the test if there are other traces now than before.
func (m *machine) leavesNothing(t *testing.T, before []string) {
	t.Helper()
	if diff := cmp.Diff(before, m.traces(t)); diff != "" {
		t.Errorf("machine %s is not as before (-before, +now):\n%s", m.node, diff)
	}
}
