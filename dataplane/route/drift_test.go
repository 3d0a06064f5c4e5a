package route

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/routetest"
)

// forms are a route of each form that Apply writes.
func forms() []dataplane.Route {
	return []dataplane.Route{
		routetest.Via("10.244.1.0/26", "10.2.0.11"),
		routetest.Via("10.244.2.0/26", "10.2.0.11", "10.3.0.11"),
		routetest.Blackhole("10.244.3.0/26"),
		routetest.Via("10.244.4.0/26", "fe80::11%eth0"),
		routetest.Via("10.244.5.0/26", "10.2.0.11", "2001:db8:3::11"),
		routetest.From(routetest.OnLink(routetest.Via("10.244.6.0/26", "10.9.0.2"), "eth1"), "10.2.0.1"),
		routetest.OnLink(routetest.Via("10.244.7.0/26", "fe80::2", "fe80::3"), "eth1"),
		routetest.Via("fd00:1::/122", "2001:db8:2::11"),
		routetest.Via("fd00:2::/122", "fe80::11%eth0", "fe80::11%eth1"),
		routetest.Blackhole("fd00:3::/122"),
		routetest.From(routetest.OnLink(routetest.Via("fd00:4::/122", "fe80::2"), "eth1"), "2001:db8:2::1"),
	}
}

// repair does what the agent does, an Apply at each notice and nothing else,
// until done is true of what that left.
func (n *node) repair(ch <-chan struct{}, what string, want []dataplane.Route, done func(dataplane.Result) bool) {
	n.t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		select {
		case <-ch:
		case <-deadline:
			n.t.Fatalf("%s: not repaired by what the kernel told; it has\n%s", what, strings.Join(n.kernel("170"), "\n"))
		}
		if done(n.apply(true, want...)) {
			return
		}
	}
}

// watchOf is Watch of some groups only.
func (n *node) watchOf(groups []uint) <-chan struct{} {
	n.t.Helper()
	m := n.subscribe(groups)
	ctx, cancel := context.WithCancel(context.Background())
	ch := m.Notices(ctx, n.table.filter().hears)
	n.t.Cleanup(func() {
		cancel()
		for range ch { // until it is closed
		}
	})
	return ch
}

// Whatever someone does to our routes, the kernel's own notifications are enough
// to put it right. ip(8) reads what there is, before and after.
func TestDriftIsRepaired(t *testing.T) {
	each := func(n *node, command string) {
		for _, r := range forms() {
			hop := map[bool]string{true: "10.2.0.77", false: "2001:db8:2::77"}[r.Prefix.Addr().Is4()]
			n.ip(strings.Fields("route " + fmt.Sprintf(command, r.Prefix, hop))...)
		}
	}
	for what, drift := range map[string]func(n *node){
		"other next hops":          func(n *node) { each(n, "replace %[1]s via %[2]s proto 170 metric 1700") },
		"turned into blackholes":   func(n *node) { each(n, "replace blackhole %[1]s proto 170 metric 1700") },
		"deleted":                  func(n *node) { each(n, "del %[1]s proto 170") },
		"another before ours":      func(n *node) { each(n, "prepend %[1]s via %[2]s proto 170 metric 1700") },
		"another after ours":       func(n *node) { each(n, "append %[1]s via %[2]s proto 170 metric 1700") },
		"another of less metric":   func(n *node) { each(n, "add %[1]s via %[2]s proto 170 metric 5") },
		"another of larger metric": func(n *node) { each(n, "add %[1]s via %[2]s proto 170 metric 4000") },
		"more of our number": func(n *node) {
			n.ip("route", "add", "blackhole", "10.245.0.0/26", "proto", "170")
			n.ip("route", "add", "fd01::/122", "via", "2001:db8:2::77", "proto", "170", "metric", "1700")
		},
		"flushed": func(n *node) {
			n.ip("-4", "route", "flush", "proto", "170")
			n.ip("-6", "route", "flush", "proto", "170")
		},
		"links down and up": func(n *node) {
			for i, link := range []string{"eth0", "eth1"} {
				n.ip("link", "set", link, "down")
				n.ip("link", "set", link, "up")
				n.ip("addr", "replace", fmt.Sprintf("2001:db8:%d::1/64", 2+i), "dev", link, "nodad")
			}
		},
		"addresses removed and back": func(n *node) {
			n.ip("addr", "del", "10.2.0.1/24", "dev", "eth0")
			n.ip("addr", "del", "2001:db8:2::1/64", "dev", "eth0")
			n.ip("addr", "add", "10.2.0.1/24", "dev", "eth0")
			n.ip("addr", "add", "2001:db8:2::1/64", "dev", "eth0", "nodad")
		},
	} {
		t.Run(what, func(t *testing.T) {
			n, want := newNode(t), forms()
			n.install(want...)
			lines := n.kernel("170")
			groups := []uint{unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE}
			if strings.Contains(what, " and ") { // of links and addresses, that have events of their own meanwhile
				groups = watchGroups()
			}
			ch := n.watchOf(groups)
			drift(n)
			if slices.Equal(lines, n.kernel("170")) && !strings.Contains(what, "back") {
				t.Fatal("nothing has drifted: the test shows nothing")
			}
			n.repair(ch, what, want, func(res dataplane.Result) bool { return slices.Equal(lines, n.kernel("170")) })
			if diff := cmp.Diff(lines, n.kernel("170")); diff != "" {
				t.Errorf("kernel routes (-before +after):\n%s", diff)
			}
		})
	}
}

// Routes that name a link go on while it has another name, are told as failed
// with the reason, and are well again when it is back.
func TestRenamedLink(t *testing.T) {
	n, want := newNode(t), forms()
	n.install(want...)
	lines := n.kernel("170")
	ch := n.watch()
	n.ip("link", "set", "eth1", "name", "lan1")
	named := []string{"10.244.6.0/26", "10.244.7.0/26", "fd00:2::/122", "fd00:4::/122"}
	n.repair(ch, "renamed", want, func(res dataplane.Result) bool {
		for _, prefix := range named {
			if !errors.Is(res.Failed[netip.MustParsePrefix(prefix)], ErrNoLink) {
				return false
			}
		}
		return len(res.Failed) == len(named)
	})
	if got := len(n.kernel("170")); got != len(lines) {
		t.Errorf("with the link renamed the kernel has %d routes, want %d still", got, len(lines))
	}
	n.ip("link", "set", "lan1", "name", "eth1")
	n.repair(ch, "named back", want, func(res dataplane.Result) bool { return len(res.Failed) == 0 })
	n.wantKernel(lines...)
}
