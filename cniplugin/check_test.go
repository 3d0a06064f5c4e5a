package cniplugin_test

import (
	"testing"

	"github.com/containernetworking/cni/pkg/types"

	"fairlead.dev/cniplugin/store"
)

// CHECK finds what is broken and minds nothing that a chained plugin may change.
func TestCheck(t *testing.T) {
	for _, tc := range []struct {
		name   string
		tamper func(t *testing.T, n *node, p *pod, host string)
		want   string // "" for success
	}{
		{"right after ADD", func(*testing.T, *node, *pod, string) {}, ""},
		{"MAC and MTU changed by a later plugin", func(t *testing.T, _ *node, p *pod, _ string) {
			p.ns.Run(t, "ip", "link", "set", "eth0", "address", "02:00:00:00:00:01", "mtu", "1400")
		}, ""},
		{"further address and route", func(t *testing.T, _ *node, p *pod, _ string) {
			p.ns.Run(t, "ip", "addr", "add", "192.0.2.1/32", "dev", "eth0")
			p.ns.Run(t, "ip", "route", "add", "198.51.100.0/24", "dev", "eth0")
		}, ""},
		{"node's route gone", func(t *testing.T, n *node, _ *pod, host string) {
			n.ns.Run(t, "ip", "route", "del", "10.77.1.0", "dev", host)
		}, "node's route to 10.77.1.0 is missing"},
		{"node's IPv6 route gone", func(t *testing.T, n *node, _ *pod, host string) {
			n.ns.Run(t, "ip", "route", "del", "fd77:1::", "dev", host)
		}, "node's route to fd77:1:: is missing"},
		{"node's route elsewhere", func(t *testing.T, n *node, _ *pod, _ string) {
			n.ns.Run(t, "ip", "link", "add", "other", "up", "type", "bridge")
			t.Cleanup(func() { n.ns.Run(t, "ip", "link", "del", "other") })
			n.ns.Run(t, "ip", "route", "replace", "10.77.1.0", "dev", "other", "proto", "171")
		}, "does not lead to link"},
		{"address gone", func(t *testing.T, _ *node, p *pod, _ string) {
			p.ns.Run(t, "ip", "addr", "del", "10.77.1.0/32", "dev", "eth0")
		}, "address 10.77.1.0 of the pod's link eth0 is missing"},
		{"default route gone", func(t *testing.T, _ *node, p *pod, _ string) {
			p.ns.Run(t, "ip", "-6", "route", "del", "default")
		}, "default route via fe80::1 dev eth0 is missing"},
		{"gateway's entry false", func(t *testing.T, _ *node, p *pod, _ string) {
			p.ns.Run(t, "ip", "neigh", "replace", "169.254.1.1", "lladdr", "02:00:00:00:00:09", "dev", "eth0")
		}, "not as it must be"},
		{"link down", func(t *testing.T, n *node, _ *pod, host string) {
			n.ns.Run(t, "ip", "link", "set", host, "down")
		}, "it is down"},
		{"link gone", func(t *testing.T, n *node, _ *pod, host string) {
			n.ns.Run(t, "ip", "link", "del", host)
		}, "link eth0 is missing"},
		{"reservation gone", func(t *testing.T, n *node, p *pod, _ string) {
			n.update(t, func(s *store.State) { s.Allocations = nil })
		}, "reserved"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := newNode(t, block4, block6)
			p := n.newPod(t, "1.0.0")
			tc.tamper(t, n, p, p.mustAdd(t).Interfaces[0].Name)
			switch err := p.check(); {
			case tc.want != "":
				expect(t, err, 101, tc.want)
			case err != nil:
				t.Errorf("CHECK: %v", err)
			}
		})
	}
}

// A later plugin (tuning) may change the pod's MAC: the kernel then forgets the
// pod's neighbours, and both ends must find each other again.
func TestMACChangeHeals(t *testing.T) {
	n := newNode(t, block4, block6)
	a, b := n.newPod(t, "1.0.0"), n.newPod(t, "1.0.0")
	a.mustAdd(t)
	addrs := addresses(b.mustAdd(t))
	a.ns.Run(t, "ip", "link", "set", "eth0", "address", "02:00:00:00:00:01")
	for _, addr := range addrs {
		a.ns.Run(t, "ping", "-c", "1", "-w", "10", addr.String()) // until the first answer
	}
}

func TestCheckNeedsPrevResult(t *testing.T) {
	n := newNode(t, block4)
	p := n.newPod(t, "1.0.0")
	p.mustAdd(t)
	_, err := n.run("CHECK", n.conf("1.0.0"), p.env()...)
	expect(t, err, types.ErrInvalidNetworkConfig, "prevResult")
	_, err = n.run("CHECK", n.conf("0.3.1"), p.env()...)
	expect(t, err, types.ErrIncompatibleCNIVersion)
}
