package cniplugin_test

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every version and family: what the result says, what the kernel holds, and
// that packets pass between two pods of one node.
func TestAddWiresPods(t *testing.T) {
	dual := []netip.Prefix{block4, block6}
	for _, tc := range []struct {
		name, version string
		blocks        []netip.Prefix
	}{
		{"0.3.1 dual stack", "0.3.1", dual},
		{"0.4.0 dual stack", "0.4.0", dual},
		{"1.0.0 dual stack", "1.0.0", dual},
		{"1.1.0 dual stack", "1.1.0", dual},
		{"1.1.0 IPv4", "1.1.0", dual[:1]},
		{"1.1.0 IPv6", "1.1.0", dual[1:]},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := newNode(t, tc.blocks...)
			a, b := n.newPod(t, tc.version), n.newPod(t, tc.version)
			resultA, resultB := a.mustAdd(t), b.mustAdd(t)
			if len(resultA.IPs) != len(tc.blocks) {
				t.Fatalf("got %d addresses for %d families", len(resultA.IPs), len(tc.blocks))
			}
			for _, addr := range addresses(resultB) {
				a.ns.Run(t, "ping", "-c", "1", "-W", "5", addr.String())
			}
			for _, addr := range addresses(resultA) {
				n.ns.Run(t, "ip", "route", "get", addr.String())
			}
		})
	}
}

// The output has the input's version, and its fields name the right things.
func TestAddResult(t *testing.T) {
	for _, version := range []string{"0.3.1", "0.4.0", "1.0.0", "1.1.0"} {
		t.Run(version, func(t *testing.T) {
			n := newNode(t, block4, block6)
			p := n.newPod(t, version)
			out, err := n.run("ADD", n.conf(version),
				"CNI_CONTAINERID="+p.rt.ContainerID, "CNI_NETNS="+p.rt.NetNS, "CNI_IFNAME=eth0",
				"CNI_ARGS=K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;SOMETHING_NEW=1")
			if err != nil {
				t.Fatal(err)
			}
			var got struct {
				CNIVersion string
				Interfaces []struct{ Name, Mac, Sandbox string }
				IPs        []struct {
					Interface        *int
					Address, Gateway string
				}
				Routes []struct{ Dst, GW string }
			}
			if err := json.Unmarshal([]byte(out), &got); err != nil {
				t.Fatalf("%v in %s", err, out)
			}
			if got.CNIVersion != version || len(got.Interfaces) != 2 || len(got.IPs) != 2 || len(got.Routes) != 2 {
				t.Fatalf("got %s", out)
			}
			hostEnd, podEnd := got.Interfaces[0], got.Interfaces[1]
			if hostEnd.Sandbox != "" || !slices.Equal(n.links(t), []string{hostEnd.Name}) {
				t.Errorf("host end is %+v, links are %v", hostEnd, n.links(t))
			}
			if podEnd.Name != "eth0" || podEnd.Sandbox != p.rt.NetNS {
				t.Errorf("pod's end is %+v", podEnd)
			}
			for i, want := range []struct{ address, gateway, dst string }{
				{"10.77.1.0/32", "169.254.1.1", "0.0.0.0/0"},
				{"fd77:1::/128", "fe80::1", "::/0"},
			} {
				ip := got.IPs[i]
				if ip.Interface == nil || *ip.Interface != 1 || ip.Address != want.address || ip.Gateway != want.gateway {
					t.Errorf("ips[%d] is %+v, want %+v", i, ip, want)
				}
				if got.Routes[i].Dst != want.dst || got.Routes[i].GW != want.gateway {
					t.Errorf("routes[%d] is %+v, want %+v", i, got.Routes[i], want)
				}
			}
			held := n.state(t).Allocations[0]
			if held.Namespace != "default" || held.Pod != "web" || held.Network != "testnet" || held.HostVeth != hostEnd.Name {
				t.Errorf("stored %+v", held)
			}
		})
	}
}

// As a plugin after another, ADD adds to what is there and passes it on.
func TestAddPassesPrevResultOn(t *testing.T) {
	n := newNode(t, block4)
	p := n.newPod(t, "1.0.0")
	prev := `"prevResult":{"cniVersion":"1.0.0","interfaces":[{"name":"other0","sandbox":"/x"}],` +
		`"ips":[{"interface":0,"address":"192.0.2.9/24"}],"routes":[{"dst":"192.0.2.0/24"}],"dns":{"nameservers":["192.0.2.1"]}}`
	out, err := n.run("ADD", n.conf("1.0.0", prev),
		"CNI_CONTAINERID="+p.rt.ContainerID, "CNI_NETNS="+p.rt.NetNS, "CNI_IFNAME=eth0")
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Interfaces []struct{ Name string }
		IPs        []struct {
			Interface int
			Address   string
		}
		Routes []struct{ Dst string }
		DNS    struct{ Nameservers []string }
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Interfaces) != 3 || got.Interfaces[0].Name != "other0" || got.Interfaces[2].Name != "eth0" {
		t.Errorf("interfaces: %+v", got.Interfaces)
	}
	if len(got.IPs) != 2 || got.IPs[0].Interface != 0 || got.IPs[1].Interface != 2 || got.IPs[1].Address != "10.77.1.0/32" {
		t.Errorf("ips: %+v", got.IPs)
	}
	if len(got.Routes) != 2 || len(got.DNS.Nameservers) != 1 {
		t.Errorf("routes and DNS: %+v %+v", got.Routes, got.DNS)
	}
}

// The kernel holds what DESIGN says of a pod's data path.
func TestAddKernelState(t *testing.T) {
	n := newNode(t, block4, block6)
	p := n.newPod(t, "1.1.0")
	r := p.mustAdd(t)
	host, hostMAC, podMAC := r.Interfaces[0].Name, r.Interfaces[0].Mac, r.Interfaces[1].Mac

	contains := func(what, text string, wants ...string) {
		t.Helper()
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q:\n%s", what, want, text)
			}
		}
	}
	contains("pod's link", p.ns.Run(t, "ip", "-d", "link", "show", "dev", "eth0"), podMAC, "state UP", "mtu 1500")
	contains("pod's addresses", p.ns.Run(t, "ip", "addr", "show", "dev", "eth0"), "10.77.1.0/32", "fd77:1::/128 scope global nodad")
	contains("pod's IPv4 routes", p.ns.Run(t, "ip", "-4", "route"), "default via 169.254.1.1 dev eth0 proto static", "169.254.1.1 dev eth0 proto static scope link")
	contains("pod's IPv6 routes", p.ns.Run(t, "ip", "-6", "route"), "default via fe80::1 dev eth0 proto static")
	contains("pod's neighbours", p.ns.Run(t, "ip", "neigh"),
		"169.254.1.1 dev eth0 lladdr "+hostMAC+" PERMANENT", "fe80::1 dev eth0 lladdr "+hostMAC)
	contains("node's link", n.ns.Run(t, "ip", "link", "show", "dev", host), hostMAC, "state UP")
	contains("node's IPv4 route", n.ns.Run(t, "ip", "-4", "route", "show", "proto", "171"), "10.77.1.0 dev "+host)
	contains("node's IPv6 route", n.ns.Run(t, "ip", "-6", "route", "show", "proto", "171"), "fd77:1:: dev "+host)
	contains("node's neighbours", n.ns.Run(t, "ip", "neigh", "show", "dev", host), "10.77.1.0 lladdr "+podMAC, "fd77:1:: lladdr "+podMAC)

	addrs := strings.Fields(n.ns.Run(t, "ip", "-br", "addr", "show", "dev", host))
	if diff := cmp.Diff([]string{"169.254.1.1/32", "fe80::1/128"}, addrs[2:]); diff != "" {
		t.Errorf("node's end has other addresses than the gateways' (-want +got):\n%s", diff)
	}
	for setting, want := range map[string]string{
		"net.ipv4.conf." + host + ".rp_filter":  "1",
		"net.ipv4.conf." + host + ".forwarding": "1",
		"net.ipv6.conf." + host + ".accept_ra":  "0",
	} {
		if got := strings.TrimSpace(n.ns.Run(t, "sysctl", "-n", setting)); got != want {
			t.Errorf("%s is %s, want %s", setting, got, want)
		}
	}
}
