package route

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/nstest"
	"fairlead.dev/dataplane/routetest"
)

// With a metric below ours, and with ours itself, which the kernel's replace
// would take for the route to be replaced.
func TestForeignRouteStays(t *testing.T) {
	for name, metric := range map[string]string{"preferred": "5", "metric of ours": "1700"} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.ip("route", "add", "10.244.1.0/26", "via", "10.2.0.99", "proto", "static", "metric", metric)
			n.ip("route", "add", "fd00:1::/122", "via", "2001:db8:2::99", "proto", "bird", "metric", metric)
			before4, before6 := n.ours("proto", "static"), n.ours("proto", "bird")
			want := []dataplane.Route{
				routetest.Via("10.244.1.0/26", "10.2.0.11"), routetest.Via("fd00:1::/122", "2001:db8:2::11", "2001:db8:3::11"),
				routetest.Blackhole("10.244.2.0/26"),
			}
			for range 2 { // when ours is not there, and, where it can be, when it is
				res := n.apply(true, want...)
				if len(res.Failed) != 2 || !res.Holds(want[2].Prefix) {
					t.Errorf("failed: %v, want the two that are taken", res.Failed)
				}
				wantForeign(t, res, "10.244.1.0/26", "protocol static (4), metric "+metric)
				wantForeign(t, res, "fd00:1::/122", "protocol bird (12), metric "+metric)
			}
			n.apply(true)
			n.wantKernel()
			if err := n.table.Clean(); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(append(before4, before6...), append(n.ours("proto", "static"), n.ours("proto", "bird")...)); diff != "" {
				t.Errorf("foreign routes (-before +after):\n%s", diff)
			}
		})
	}
}

func wantForeign(t *testing.T, res dataplane.Result, prefix, text string) {
	t.Helper()
	err := res.Failed[netip.MustParsePrefix(prefix)]
	if !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), text) {
		t.Errorf("%s: %v, want ErrForeign naming %q", prefix, err, text)
	}
}

// A foreign route that came over one of ours with the same metric: even then.
func TestForeignRouteBesideOursStays(t *testing.T) {
	n := newNode(t)
	n.install(routetest.Via("10.244.1.0/26", "10.2.0.11"))
	n.ip("route", "prepend", "10.244.1.0/26", "via", "10.2.0.99", "proto", "static", "metric", "1700")
	res := n.apply(true, routetest.Via("10.244.1.0/26", "10.2.0.12"))
	wantForeign(t, res, "10.244.1.0/26", "static")
	wantLines(t, n.ours("proto", "static"), "10.244.1.0/26 via 10.2.0.99 dev eth0 metric 1700")
	n.ip("route", "del", "10.244.1.0/26", "proto", "static")
	n.install(routetest.Via("10.244.1.0/26", "10.2.0.12"))
	n.wantKernel("10.244.1.0/26 via 10.2.0.12 dev eth0 metric 1700")
}

// Of two foreign routes the one with our metric is the one in danger.
func TestTwoForeignRoutesStay(t *testing.T) {
	n := newNode(t)
	n.install(routetest.Via("10.244.1.0/26", "10.2.0.11"))
	n.ip("route", "prepend", "10.244.1.0/26", "via", "10.2.0.99", "proto", "static", "metric", "1700")
	n.ip("route", "add", "10.244.1.0/26", "via", "10.2.0.98", "proto", "static", "metric", "3")
	wantForeign(t, n.apply(true, routetest.Via("10.244.1.0/26", "10.2.0.12")), "10.244.1.0/26", "static (4), metric 3")
	wantLines(t, n.ours("proto", "static"), "10.244.1.0/26 via 10.2.0.98 dev eth0 metric 3", "10.244.1.0/26 via 10.2.0.99 dev eth0 metric 1700")
}

// What the kernel does not prefer to ours is in nobody's way.
func TestForeignRouteOfLowerPreferenceIsNoRival(t *testing.T) {
	n := newNode(t)
	n.ip("route", "add", "10.244.1.0/26", "via", "10.2.0.99", "proto", "static", "metric", "2000")
	n.install(routetest.Via("10.244.1.0/26", "10.2.0.11"))
	wantLines(t, n.ours("proto", "static"), "10.244.1.0/26 via 10.2.0.99 dev eth0 metric 2000")
}

func TestForeignRouteGone(t *testing.T) {
	n := newNode(t)
	n.ip("route", "add", "10.244.1.0/26", "via", "10.2.0.99", "proto", "static")
	want := routetest.Via("10.244.1.0/26", "10.2.0.11")
	n.apply(true, want)
	n.ip("route", "del", "10.244.1.0/26", "proto", "static")
	n.wantKernel("10.244.1.0/26 via 10.2.0.11 dev eth0 metric 1700") // it stood by
	n.install(want)
}

// A block of one address has the prefix of its pod's own route.
func TestPodRouteIsNoRival(t *testing.T) {
	n := newNode(t)
	n.ip("route", "add", "10.244.1.7/32", "dev", "eth0", "proto", "171")
	n.ip("route", "add", "fd00:1::7/128", "dev", "eth0", "proto", "171")
	n.install(routetest.Blackhole("10.244.1.7/32"), routetest.Blackhole("fd00:1::7/128"))
	if got := n.ip("route", "get", "10.244.1.7") + n.ip("route", "get", "fd00:1::7"); strings.Count(got, "dev eth0") != 2 {
		t.Errorf("packets to the pod take %q", got)
	}
}

// Ours by number, but not as we write it: repaired where wanted, else removed.
func TestOddRoutesOfOursAreRepaired(t *testing.T) {
	for name, made := range map[string][]string{
		"other metric":          {"10.244.1.0/26 via 10.2.0.11 metric 5"},
		"metric 0":              {"10.244.1.0/26 via 10.2.0.11"},
		"second metric":         {"10.244.1.0/26 via 10.2.0.11 metric 1700", "10.244.1.0/26 via 10.2.0.11 metric 3000"},
		"preferred source":      {"10.244.1.0/26 via 10.2.0.11 metric 1700 src 10.2.0.1"},
		"MTU":                   {"10.244.1.0/26 via 10.2.0.11 metric 1700 mtu 1300"},
		"on-link":               {"10.244.1.0/26 via 10.9.0.1 dev eth0 metric 1700 onlink"},
		"no gateway":            {"10.244.1.0/26 dev eth0 metric 1700"},
		"weight":                {"10.244.1.0/26 metric 1700 nexthop via 10.2.0.11 weight 5 nexthop via 10.3.0.11"},
		"prohibit":              {"prohibit 10.244.1.0/26 metric 1700"},
		"type of service":       {"10.244.1.0/26 via 10.2.0.11 metric 1700", "10.244.1.0/26 via 10.2.0.12 tos 0x10 metric 1700"},
		"twice, wanted first":   {"10.244.1.0/26 via 10.2.0.12 metric 1700", "10.244.1.0/26 via 10.2.0.11 metric 1700"},
		"twice, wanted second":  {"10.244.1.0/26 via 10.2.0.11 metric 1700", "10.244.1.0/26 via 10.2.0.12 metric 1700"},
		"IPv6 other metric":     {"fd00:1::/122 via 2001:db8:2::11 metric 5"},
		"IPv6 default metric":   {"fd00:1::/122 via 2001:db8:2::11"},
		"IPv6 ECMP by append":   {"fd00:1::/122 via 2001:db8:2::11 metric 1700", "fd00:1::/122 via 2001:db8:3::11 metric 1700"},
		"IPv6 lifetime":         {"fd00:1::/122 via 2001:db8:2::11 metric 1700 expires 600"},
		"IPv6 preference":       {"fd00:1::/122 via 2001:db8:2::11 metric 1700 pref high"},
		"IPv6 no gateway":       {"fd00:1::/122 dev eth0 metric 1700"},
		"IPv6 two kinds":        {"blackhole fd00:1::/122 metric 1700", "fd00:1::/122 via 2001:db8:2::12 metric 1700"},
		"IPv6 two kinds, other": {"fd00:1::/122 via 2001:db8:2::12 metric 1700", "blackhole fd00:1::/122 metric 1700"},
	} {
		for _, wanted := range []string{"wanted", "not wanted"} {
			t.Run(name+", "+wanted, func(t *testing.T) {
				n := newNode(t)
				for _, route := range made {
					n.ip(append([]string{"route", "prepend", "proto", "170"}, strings.Fields(route)...)...)
				}
				if wanted == "not wanted" {
					n.install()
					n.wantKernel()
					return
				}
				want, line := routetest.Via("10.244.1.0/26", "10.2.0.11"), "10.244.1.0/26 via 10.2.0.11 dev eth0 metric 1700"
				if strings.HasPrefix(name, "IPv6") {
					want, line = routetest.Via("fd00:1::/122", "2001:db8:2::11"), "fd00:1::/122 via 2001:db8:2::11 dev eth0 metric 1700 pref medium"
				}
				n.install(want)
				n.wantKernel(line)
			})
		}
	}
}

// Routes under the number in other tables are not looked at.
func TestOtherTablesStay(t *testing.T) {
	n := newNode(t)
	n.ip("route", "add", "10.244.1.0/26", "via", "10.2.0.11", "proto", "170", "metric", "1700", "table", "1000")
	n.ip("route", "add", "blackhole", "10.244.2.0/26", "proto", "170", "metric", "1700", "table", "77")
	n.install()
	if err := n.table.Clean(); err != nil {
		t.Error(err)
	}
	if got := n.ip("route", "show", "table", "1000") + n.ip("route", "show", "table", "77"); strings.Count(got, "10.244.") != 2 {
		t.Errorf("other tables hold %q", got)
	}
}

func TestClean(t *testing.T) {
	n := newNode(t)
	n.ip("route", "add", "10.244.8.0/26", "via", "10.2.0.11", "proto", "static")
	n.ip("route", "add", "fd00:8::/122", "via", "2001:db8:2::11", "proto", "bird")
	foreign := n.notKernel()
	n.install(routetest.Via("10.244.1.0/26", "10.2.0.11", "10.3.0.11"), routetest.Blackhole("fd00:1::/122"))
	n.ip("route", "add", "10.244.1.7/32", "dev", "eth0", "proto", "171")
	n.ip("route", "add", "fd00:1::7/128", "dev", "eth0", "proto", "171")
	n.ip("route", "add", "10.244.9.0/26", "via", "10.2.0.11", "proto", "170", "metric", "3")
	for range 2 { // already gone is well
		if err := n.table.Clean(); err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff(foreign, n.notKernel()); diff != "" {
		t.Errorf("routes (-before +after):\n%s", diff)
	}
}

// notKernel are all routes but the kernel's own, which come when links are ready.
func (n *node) notKernel() []string {
	n.t.Helper()
	return slices.DeleteFunc(n.ours(), func(line string) bool { return strings.Contains(line, "proto kernel") })
}

// A namespace without any route has no IPv4 main table at all.
func TestEmptyNamespace(t *testing.T) {
	ns := nstest.New(t, "empty")
	ns.Do(t, func() {
		table, err := Open()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = table.Close() }()
		if got, err := table.List(); err != nil || len(got) != 0 {
			t.Errorf("List: %v, %v", got, err)
		}
		if res, err := table.Apply([]dataplane.Route{routetest.Blackhole("10.244.1.0/26")}, true); err != nil || len(res.Failed) != 0 {
			t.Errorf("Apply: %v, %v", res, err)
		}
	})
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("kernel routes (-want +got):\n%s", diff)
	}
}

// An odd route of ours is better than none, when the right one is refused.
func TestOddRouteStaysWhenItsRepairIsRefused(t *testing.T) {
	n := newNode(t)
	n.ip("route", "add", "10.244.1.0/26", "via", "10.2.0.11", "proto", "170", "metric", "5")
	res := n.apply(true, routetest.Via("10.244.1.0/26", "192.0.2.1"))
	n.wantList(dataplane.Route{Prefix: netip.MustParsePrefix("10.244.1.0/26"), Kind: dataplane.Unknown})
	if len(res.Failed) != 1 {
		t.Errorf("failed: %v, want one", res.Failed)
	}
	n.wantKernel("10.244.1.0/26 via 10.2.0.11 dev eth0 metric 5")
}

// What is ours and unwanted is told even where it counts as no installed route:
// without that nobody would ask for it to be pruned.
func TestSurplusOfAnyForm(t *testing.T) {
	n := newNode(t)
	n.ip("route", "add", "10.244.1.0/26", "via", "10.2.0.11", "proto", "170", "metric", "5")
	n.ip("route", "add", "10.244.2.0/26", "via", "10.2.0.11", "proto", "170", "metric", "1700")
	n.ip("route", "add", "10.244.2.0/26", "via", "10.2.0.11", "proto", "static", "metric", "9")
	n.ip("route", "add", "10.244.3.0/26", "via", "10.2.0.11", "proto", "static")
	res := n.apply(false, routetest.Blackhole("10.244.9.0/26"))
	want := []netip.Prefix{netip.MustParsePrefix("10.244.1.0/26"), netip.MustParsePrefix("10.244.2.0/26")}
	if !slices.Equal(res.Surplus, want) {
		t.Errorf("surplus %v, want %v", res.Surplus, want)
	}
	if res = n.apply(true, routetest.Blackhole("10.244.9.0/26")); len(res.Surplus) != 0 {
		t.Errorf("surplus after pruning: %v", res.Surplus)
	}
}

// A bridge of another network has the block as its subnet, and its pods live on. Ours
// stands by, and serves once the bridge is gone; any other route is in the way still.
func TestSubnetBesideIsNoRival(t *testing.T) {
	n := newNode(t)
	n.ip("link", "add", "cni0", "type", "bridge")
	n.ip("addr", "add", "10.244.1.1/24", "dev", "cni0")
	n.ip("addr", "add", "fd00:1::1/64", "dev", "cni0", "nodad")
	n.ip("link", "set", "cni0", "up")
	want := []dataplane.Route{routetest.Blackhole("10.244.1.0/24"), routetest.Blackhole("fd00:1::/64")}
	for range 2 {
		res := n.apply(true, want...)
		wantForeign(t, res, "10.244.1.0/24", "protocol kernel (2), metric 0")
		wantForeign(t, res, "fd00:1::/64", "protocol kernel (2), metric 256")
	}
	for i := range want {
		want[i].Beside = true
	}
	if res := n.apply(true, want...); len(res.Failed) > 0 {
		t.Errorf("failed: %v", res.Failed)
	}
	n.ip("route", "replace", "10.244.1.0/24", "via", "10.2.0.99", "proto", "static")
	wantForeign(t, n.apply(true, want...), "10.244.1.0/24", "static (4), metric 0")
	n.ip("route", "del", "10.244.1.0/24", "proto", "static")
	n.ip("link", "del", "cni0")
	n.wantKernel("blackhole 10.244.1.0/24 metric 1700", "blackhole fd00:1::/64 dev lo metric 1700 pref medium")
	n.install(want...)
}
