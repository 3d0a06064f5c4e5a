package dataplane

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"fairlead.dev/hack/lab/topology"
)

// servicesTable is what kube-proxy would have on a node.
const servicesTable = "inet lab-services"

// translate gives a node a service as kube-proxy would until the end of the test:
// what matches goes to another address, and what leaves so by a rule, "" for none.
func (s *scene) translate(t *testing.T, node string, f topology.Family, match string, to netip.AddrPort, leaving string) {
	t.Helper()
	family := map[topology.Family]string{topology.V4: "ip", topology.V6: "ip6"}[f]
	rule := fmt.Sprintf("meta nfproto ipv%d %s dnat %s to %s", f.Number(), match, family, to)
	commands := []string{
		"add table " + servicesTable,
		"add chain " + servicesTable + " pre { type nat hook prerouting priority dstnat; }",
		"add chain " + servicesTable + " post { type nat hook postrouting priority srcnat; }",
		"add rule " + servicesTable + " pre " + rule,
	}
	if leaving != "" {
		commands = append(commands, "add rule "+servicesTable+" post "+leaving)
	}
	s.exec(t, node, "nft", strings.Join(commands, "; "))
	t.Cleanup(func() { s.exec(t, node, "nft", "add table "+servicesTable+"; delete table "+servicesTable) })
}
