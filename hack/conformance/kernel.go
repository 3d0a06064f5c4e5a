package conformance

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"fairlead.dev/dataplane/nstest"
)

// kernelLink is a link as ip(8) shows it.
type kernelLink struct {
	IfName, Address string
	MTU             int
	Flags           []string
	AddrInfo        []struct {
		Local     netip.Addr
		PrefixLen int
		Scope     string
	} `json:"addr_info"`
}

func links(t *Trial, ns nstest.NS) []kernelLink {
	var all []kernelLink
	readJSON(t, ns, &all, "-json", "address", "show")
	return all
}

// link finds a link; its absence is a failure.
func link(t *Trial, ns nstest.NS, name, where string) kernelLink {
	all := links(t, ns)
	i := slices.IndexFunc(all, func(l kernelLink) bool { return l.IfName == name })
	if i < 0 {
		t.fail("the interface is not there %s", where)
	}
	return all[i]
}

func hasLink(t *Trial, ns nstest.NS, name string) bool {
	return slices.ContainsFunc(links(t, ns), func(l kernelLink) bool { return l.IfName == name })
}

func (l kernelLink) up() bool { return slices.Contains(l.Flags, "UP") }

// global are the link's addresses that are not link-local.
func (l kernelLink) global() []netip.Addr {
	var addrs []netip.Addr
	for _, a := range l.AddrInfo {
		if a.Scope == "global" {
			addrs = append(addrs, a.Local)
		}
	}
	return addrs
}

// look is all that an attachment may leave in a namespace, a line each.
func look(t *Trial, ns nstest.NS) []string {
	var lines []string
	for _, l := range links(t, ns) {
		lines = append(lines, fmt.Sprintf("link %s %s mtu %d up %v", l.IfName, l.Address, l.MTU, l.up()))
		for _, a := range l.AddrInfo {
			lines = append(lines, fmt.Sprintf("address %s/%d dev %s", a.Local, a.PrefixLen, l.IfName))
		}
	}
	for _, args := range [][]string{
		{"-4", "route", "show", "table", "all"},
		{"-6", "route", "show", "table", "all"},
		{"-4", "rule"},
		{"-6", "rule"},
		{"neigh", "show", "nud", "permanent"},
	} {
		out, err := run(ns, "", "ip", args...)
		t.must(err)
		for line := range strings.Lines(out) {
			lines = append(lines, args[0]+" "+strings.TrimSpace(line))
		}
	}
	// The kernel works on the uplink's own state in its own time.
	lines = slices.DeleteFunc(lines, func(line string) bool { return strings.Contains(line, uplink) })
	slices.Sort(lines)
	return lines
}

// look is that of the node.
func (n *node) look() []string { return look(n.t, n.ns) }

// look is that of the container.
func (c *container) look() []string { return look(c.node.t, c.ns) }

// processes counts those in the network namespaces given. The suite's own threads
// visit them, but its process is not there.
func processes(t *Trial, namespaces ...nstest.NS) int {
	wanted := map[string]bool{}
	for _, ns := range namespaces {
		// The namespace's file is a link to a link, whose text names the namespace.
		file, err := os.Readlink(ns.Path())
		t.must(err)
		name, err := os.Readlink(file)
		t.must(err)
		wanted[name] = true
	}
	found, err := filepath.Glob("/proc/[0-9]*/ns/net")
	t.must(err)
	count := 0
	for _, path := range found {
		if name, err := os.Readlink(path); err == nil && wanted[name] {
			count++
		}
	}
	return count
}
