package cniplugin_test

import (
	"bytes"
	"net"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"

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
		{"routes moved to a table of their own by a later plugin", func(t *testing.T, _ *node, p *pod, _ string) {
			p.ns.Run(t, "ip", "route", "del", "default")
			p.ns.Run(t, "ip", "route", "add", "default", "via", "169.254.1.1", "dev", "eth0", "onlink", "table", "100")
		}, ""},
		{"settings and traffic control of later plugins", func(t *testing.T, n *node, p *pod, host string) {
			p.ns.Run(t, "sysctl", "-qw", "net.ipv4.conf.eth0.arp_filter=1", "net.ipv6.conf.eth0.accept_ra=2")
			n.ns.Run(t, "sysctl", "-qw", "net.ipv4.conf."+host+".route_localnet=1")
			n.ns.Run(t, "ip", "link", "add", "bwp0", "type", "ifb")
			t.Cleanup(func() { n.ns.Run(t, "ip", "link", "del", "bwp0") })
			n.ns.Run(t, "tc", "qdisc", "add", "dev", host, "root", "tbf", "rate", "1mbit", "burst", "10k", "latency", "10ms")
		}, ""},
		{"loose source checks, as systemd sets them", func(t *testing.T, n *node, _ *pod, host string) {
			n.ns.Run(t, "sysctl", "-qw", "net.ipv4.conf."+host+".rp_filter=2")
		}, ""},
		{"no source checks", func(t *testing.T, n *node, _ *pod, host string) {
			n.ns.Run(t, "sysctl", "-qw", "net.ipv4.conf."+host+".rp_filter=0")
		}, "ipv4 rp_filter of the node's link"},
		{"no forwarding", func(t *testing.T, n *node, _ *pod, host string) {
			n.ns.Run(t, "sysctl", "-qw", "net.ipv4.conf."+host+".forwarding=0")
		}, "ipv4 forwarding of the node's link"},
		{"the node takes the pod's advertisements", func(t *testing.T, n *node, _ *pod, host string) {
			n.ns.Run(t, "sysctl", "-qw", "net.ipv6.conf."+host+".accept_ra=2")
		}, "ipv6 accept_ra of the node's link"},
		{"gateway's entry gone", func(t *testing.T, _ *node, p *pod, _ string) {
			p.ns.Run(t, "ip", "neigh", "del", "fe80::1", "dev", "eth0")
		}, "permanent neighbour entry of gateway fe80::1 is missing"},
		{"node's entry false", func(t *testing.T, n *node, _ *pod, host string) {
			n.ns.Run(t, "ip", "neigh", "replace", "10.77.1.0", "lladdr", "02:00:00:00:00:09", "nud", "permanent", "dev", host)
		}, "the node's neighbour entry of 10.77.1.0"},
		{"pod's link down", func(t *testing.T, _ *node, p *pod, _ string) {
			p.ns.Run(t, "ip", "link", "set", "eth0", "down")
		}, "the pod's link eth0 is not as it must be: it is down"},
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

// What a later plugin took out of the result is not missed in the kernel.
func TestCheckConsultsPrevResult(t *testing.T) {
	n := newNode(t, block4, block6)
	p := n.newPod(t, "1.0.0")
	r := p.mustAdd(t)
	p.ns.Run(t, "ip", "-6", "addr", "del", "fd77:1::/128", "dev", "eth0")
	p.ns.Run(t, "ip", "-6", "route", "del", "default")
	check := func(r *types100.Result) error {
		_, err := n.run("CHECK", n.conf("1.0.0", `"prevResult":`+asJSON(t, r)), p.env()...)
		return err
	}
	expect(t, check(r), 101, "fd77:1::")
	r.IPs, r.Routes = r.IPs[:1], r.Routes[:1]
	if err := check(r); err != nil {
		t.Errorf("without the IPv6 address in the result: %v", err)
	}
	r.IPs[0].Address.IP = net.IPv4(10, 77, 1, 9) // not what is reserved
	expect(t, check(r), 101, "reserved")
	r.IPs[0].Interface = types100.Int(7)
	expect(t, check(r), 101, "reserved")
}

func asJSON(t *testing.T, r types.Result) string {
	t.Helper()
	var out bytes.Buffer
	if err := r.PrintTo(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
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
