package route

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/nl"
	"fairlead.dev/dataplane/nstest"
	"fairlead.dev/dataplane/routetest"
)

// node is a namespace with two uplinks, each a veth whose other end is in the
// same namespace, so that carriers are up: eth0 (10.2.0.1/24, 2001:db8:2::1/64)
// and eth1 (10.3.0.1/24, 2001:db8:3::1/64).
type node struct {
	nstest.NS
	t     testing.TB
	table *Table
}

func newNode(t testing.TB) *node {
	t.Helper()
	n := &node{NS: nstest.New(t, "route"), t: t}
	for i, link := range []string{"eth0", "eth1"} {
		n.ip("link", "add", link, "type", "veth", "peer", "name", "peer"+link)
		n.ip("link", "set", "peer"+link, "up")
		n.ip("addr", "add", []string{"10.2.0.1/24", "10.3.0.1/24"}[i], "dev", link)
		n.ip("addr", "add", []string{"2001:db8:2::1/64", "2001:db8:3::1/64"}[i], "dev", link, "nodad")
		n.ip("link", "set", link, "up")
	}
	n.Do(t, func() {
		var err error
		if n.table, err = Open(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { _ = n.table.Close() })
	return n
}

// ip runs ip(8) inside the node.
func (n *node) ip(args ...string) string {
	n.t.Helper()
	return n.Run(n.t, "ip", args...)
}

// apply fails the test on an error, not on failed routes.
func (n *node) apply(prune bool, want ...dataplane.Route) dataplane.Result {
	n.t.Helper()
	res, err := n.table.Apply(want, prune)
	if err != nil {
		n.t.Fatal(err)
	}
	return res
}

// install applies with prune and wants no failure.
func (n *node) install(want ...dataplane.Route) {
	n.t.Helper()
	res := n.apply(true, want...)
	if len(res.Failed) != 0 {
		n.t.Fatalf("failed: %v", res.Failed)
	}
	n.wantList(want...)
}

// kernel is what iproute2, an independent reader, sees of main, one route a
// line, of the given protocol, both families.
func (n *node) kernel(protocol string) []string {
	n.t.Helper()
	return n.ours("proto", protocol)
}

func (n *node) ours(selector ...string) []string {
	n.t.Helper()
	var lines []string
	for _, family := range []string{"-4", "-6"} {
		out := n.ip(append([]string{family, "route", "show", "table", "main"}, selector...)...)
		// A multipath route goes over several lines.
		out = strings.ReplaceAll(out, "\n\t", " ")
		for line := range strings.Lines(out) {
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
	}
	return lines
}

// wantKernel compares the routes of protocol 170 as ip(8) prints them.
func (n *node) wantKernel(want ...string) {
	n.t.Helper()
	if diff := cmp.Diff(want, n.kernel("170"), cmpopts.EquateEmpty()); diff != "" {
		n.t.Errorf("kernel routes (-want +got):\n%s", diff)
	}
}

// wantList compares what List says.
func (n *node) wantList(want ...dataplane.Route) {
	n.t.Helper()
	got, err := n.table.List()
	if err != nil && !errors.Is(err, nl.ErrInterrupted) {
		n.t.Error(err)
	}
	wantRoutes(n.t, got, want...)
}

func wantSurplus(t testing.TB, res dataplane.Result, want ...string) {
	t.Helper()
	var got []string
	for _, p := range res.Surplus {
		got = append(got, p.String())
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("surplus (-want +got):\n%s", diff)
	}
}

func wantRoutes(t testing.TB, got []dataplane.Route, want ...dataplane.Route) {
	t.Helper()
	if diff := routetest.Diff(want, got); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
}

func TestAddReplaceDelete(t *testing.T) {
	n := newNode(t)
	n.install(
		routetest.Via("10.244.1.0/26", "10.2.0.11"), routetest.Via("10.244.2.0/26", "10.2.0.11", "10.3.0.11"), routetest.Blackhole("10.244.3.0/26"),
		routetest.Via("fd00:1::/122", "2001:db8:2::11"), routetest.Via("fd00:2::/122", "2001:db8:2::11", "2001:db8:3::11"), routetest.Blackhole("fd00:3::/122"),
	)
	n.wantKernel(
		"10.244.1.0/26 via 10.2.0.11 dev eth0 metric 1700",
		"10.244.2.0/26 metric 1700 nexthop via 10.2.0.11 dev eth0 weight 1 nexthop via 10.3.0.11 dev eth1 weight 1",
		"blackhole 10.244.3.0/26 metric 1700",
		"fd00:1::/122 via 2001:db8:2::11 dev eth0 metric 1700 pref medium",
		"fd00:2::/122 metric 1700 pref medium nexthop via 2001:db8:2::11 dev eth0 weight 1 nexthop via 2001:db8:3::11 dev eth1 weight 1",
		"blackhole fd00:3::/122 dev lo metric 1700 pref medium",
	)
	n.install(routetest.Via("10.244.1.0/26", "10.3.0.11"), routetest.Via("fd00:1::/122", "2001:db8:3::11"))
	n.wantKernel(
		"10.244.1.0/26 via 10.3.0.11 dev eth1 metric 1700",
		"fd00:1::/122 via 2001:db8:3::11 dev eth1 metric 1700 pref medium",
	)
	n.install()
	n.wantKernel()
}

func TestLinkLocalNextHop(t *testing.T) {
	n := newNode(t)
	n.install(routetest.Via("fd00:1::/122", "fe80::9%eth1"), routetest.Via("fd00:2::/122", "fe80::9%eth0", "fe80::9%eth1"))
	n.wantKernel(
		"fd00:1::/122 via fe80::9 dev eth1 metric 1700 pref medium",
		"fd00:2::/122 metric 1700 pref medium nexthop via fe80::9 dev eth0 weight 1 nexthop via fe80::9 dev eth1 weight 1",
	)
	res := n.apply(true, routetest.Via("fd00:3::/122", "fe80::9%eth7"), routetest.Via("fd00:4::/122", "fe80::9%eth0"))
	if err := res.Failed[netip.MustParsePrefix("fd00:3::/122")]; !errors.Is(err, ErrNoLink) {
		t.Errorf("next hop on a link that is not there: %v, want ErrNoLink", err)
	}
	n.wantList(routetest.Via("fd00:4::/122", "fe80::9%eth0"))
}

func TestPruneFalseDeletesNothing(t *testing.T) {
	n := newNode(t)
	n.install(routetest.Blackhole("10.244.1.0/26"), routetest.Blackhole("fd00:1::/122"))
	res := n.apply(false, routetest.Blackhole("10.244.2.0/26"))
	wantSurplus(t, res, "10.244.1.0/26", "fd00:1::/122")
	n.wantList(routetest.Blackhole("10.244.1.0/26"), routetest.Blackhole("10.244.2.0/26"), routetest.Blackhole("fd00:1::/122"))
	n.wantKernel("blackhole 10.244.1.0/26 metric 1700", "blackhole 10.244.2.0/26 metric 1700",
		"blackhole fd00:1::/122 dev lo metric 1700 pref medium")
}

func TestUnreachableNextHop(t *testing.T) {
	n := newNode(t)
	bad4, bad6, own := routetest.Via("10.244.3.0/26", "192.0.2.1"), routetest.Via("fd00:3::/122", "2001:db8:9::1"), routetest.Via("fd00:4::/122", "2001:db8:2::1")
	good := []dataplane.Route{routetest.Via("10.244.1.0/26", "10.2.0.11"), routetest.Via("fd00:1::/122", "2001:db8:2::11")}
	res := n.apply(true, append(good, bad4, bad6, own)...)
	n.wantList(good...)
	for _, r := range []dataplane.Route{bad4, bad6} {
		err := res.Failed[r.Prefix]
		if !errors.Is(err, unix.ENETUNREACH) && !errors.Is(err, unix.EHOSTUNREACH) {
			t.Errorf("%s: errno of %v, want ENETUNREACH or EHOSTUNREACH", r, err)
		}
		text := "add route " + r.String() + ": next hop is not on a connected subnet"
		if err == nil || !strings.HasPrefix(err.Error(), text) {
			t.Errorf("%s: %v, want %q", r, err, text)
		}
	}
	if err := res.Failed[own.Prefix]; !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), "Gateway can not be a local address") {
		t.Errorf("our own address as next hop: %v, want EINVAL with the kernel's words", err)
	}
	if len(res.Failed) != 3 {
		t.Errorf("failed: %v, want 3", res.Failed)
	}
}
