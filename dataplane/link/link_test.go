package link_test

import (
	"errors"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/link"
	"fairlead.dev/dataplane/nstest"
)

var (
	addr4 = netip.MustParseAddr("10.77.1.5")
	addr6 = netip.MustParseAddr("fd77:1::5")
)

const nodeAddr = "192.0.2.1"

func TestName(t *testing.T) {
	seen := map[string]bool{}
	for _, a := range [][2]string{{"a", "eth0"}, {"a", "eth1"}, {"b", "eth0"}, {"ae", "th0"}, {"", ""}} {
		name := link.Name(a[0], a[1])
		if !regexp.MustCompile(`^fl[a-z2-7]{13}$`).MatchString(name) {
			t.Errorf("name of %q is %q", a, name)
		}
		if seen[name] || name != link.Name(a[0], a[1]) {
			t.Errorf("name of %q is another's, or not always the same", a)
		}
		seen[name] = true
	}
}

func TestMAC(t *testing.T) {
	for _, id := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		s := link.Spec{Host: link.Name(id, "eth0")}
		for _, mac := range [][6]byte{s.HostMAC(), s.PodMAC()} {
			if mac[0]&3 != 2 {
				t.Errorf("%x is not a unicast, locally administered address", mac)
			}
		}
		if s.HostMAC() == s.PodMAC() {
			t.Error("both ends have one MAC")
		}
	}
}

// withNode runs f on a thread that is in a node's namespace. The node has an
// address, as every node has.
func withNode(t *testing.T, f func(node *link.Node, pod *link.Namespace, n, p nstest.NS)) {
	t.Helper()
	n, p := nstest.New(t, "node"), nstest.New(t, "pod")
	n.Run(t, "ip", "addr", "add", nodeAddr+"/32", "dev", "lo")
	n.Do(t, func() {
		node, err := link.Dial()
		if err != nil {
			t.Fatal(err)
		}
		defer node.Close()
		pod, err := link.OpenNamespace(p.Path())
		if err != nil {
			t.Fatal(err)
		}
		defer pod.Close()
		f(node, pod, n, p)
	})
}

func spec(id string, addrs ...netip.Addr) link.Spec {
	return link.Spec{Host: link.Name(id, "eth0"), Pod: "eth0", MTU: 1400, Addresses: addrs}
}

func TestWireAndUnwire(t *testing.T) {
	withNode(t, func(node *link.Node, pod *link.Namespace, n, p nstest.NS) {
		s := spec("a", addr4, addr6)
		if err := node.Wire(pod, s); err != nil {
			t.Fatal(err)
		}
		if has, err := pod.HasLink("eth0"); !has || err != nil {
			t.Errorf("pod has eth0: %v, %v", has, err)
		}
		if out := p.Run(t, "ip", "link", "show", "eth0"); !strings.Contains(out, "mtu 1400") {
			t.Errorf("MTU is not as asked for: %s", out)
		}
		routes, err := node.PodRoutes()
		if err != nil {
			t.Fatal(err)
		}
		want := []dataplane.PodRoute{{Address: addr4, HostVeth: s.Host}, {Address: addr6, HostVeth: s.Host}}
		if diff := cmp.Diff(want, routes, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Errorf("pod routes (-want +got):\n%s", diff)
		}
		if pods, err := node.Pods(); err != nil || len(pods) != 1 || pods[0] != s.Host {
			t.Errorf("pods: %v, %v", pods, err)
		}
		n.Run(t, "ping", "-c", "1", "-W", "5", addr4.String())
		n.Run(t, "ping", "-c", "1", "-W", "5", addr6.String())
		for range 2 {
			if err := node.Unwire(s.Host); err != nil {
				t.Errorf("unwire: %v", err)
			}
		}
		checkEmpty(t, node, pod)
	})
}

func checkEmpty(t *testing.T, node *link.Node, pod *link.Namespace) {
	t.Helper()
	pods, err := node.Pods()
	if err != nil || len(pods) != 0 {
		t.Errorf("links left: %v, %v", pods, err)
	}
	routes, err := node.PodRoutes()
	if err != nil || len(routes) != 0 {
		t.Errorf("routes left: %v, %v", routes, err)
	}
	if has, err := pod.HasLink("eth0"); has || err != nil {
		t.Errorf("pod has eth0: %v, %v", has, err)
	}
}

// What fails at any step leaves nothing.
func TestWireUndoes(t *testing.T) {
	for _, tc := range []struct {
		name    string
		prepare func(t *testing.T, n, p nstest.NS)
		want    error
	}{
		{"the pod has the name", func(t *testing.T, _, p nstest.NS) {
			p.Run(t, "ip", "link", "add", "eth0", "type", "bridge")
		}, link.ErrPodLinkExists},
		{"the address is routed", func(t *testing.T, n, _ nstest.NS) {
			n.Run(t, "ip", "route", "add", addr4.String(), "dev", "lo")
		}, link.ErrRouted},
		{"the IPv6 address is routed", func(t *testing.T, n, _ nstest.NS) {
			n.Run(t, "ip", "route", "add", addr6.String(), "dev", "lo")
		}, link.ErrRouted},
		{"the pod has a default route", func(t *testing.T, _, p nstest.NS) {
			p.Run(t, "ip", "route", "add", "default", "dev", "lo")
		}, link.ErrPodRouted},
	} {
		t.Run(tc.name, func(t *testing.T) {
			withNode(t, func(node *link.Node, pod *link.Namespace, n, p nstest.NS) {
				tc.prepare(t, n, p)
				if err := node.Wire(pod, spec("a", addr4, addr6)); !errors.Is(err, tc.want) {
					t.Errorf("error is %v, want %v", err, tc.want)
				}
				if !errors.Is(tc.want, link.ErrPodLinkExists) {
					checkEmpty(t, node, pod)
				}
			})
		})
	}
}

// A second pod of the same name does not harm the first.
func TestWireTwice(t *testing.T) {
	withNode(t, func(node *link.Node, pod *link.Namespace, n, _ nstest.NS) {
		if err := node.Wire(pod, spec("a", addr4)); err != nil {
			t.Fatal(err)
		}
		second := nstest.New(t, "pod2")
		other, err := link.OpenNamespace(second.Path())
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		if err := node.Wire(other, spec("a", addr4)); !errors.Is(err, link.ErrHostLinkExists) {
			t.Errorf("same attachment: %v", err)
		}
		if err := node.Wire(other, spec("b", addr4)); !errors.Is(err, link.ErrRouted) {
			t.Errorf("same address: %v", err)
		}
		n.Run(t, "ping", "-c", "1", "-W", "5", addr4.String())
	})
}

// Some runtimes switch IPv6 off in new namespaces.
func TestWireSwitchesIPv6On(t *testing.T) {
	withNode(t, func(node *link.Node, pod *link.Namespace, n, p nstest.NS) {
		p.Run(t, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
		if err := node.Wire(pod, spec("a", addr4, addr6)); err != nil {
			t.Fatal(err)
		}
		n.Run(t, "ping", "-c", "1", "-W", "5", addr6.String())
	})
}

// A new MAC of the pod's is known to the node before the pod has sent a packet:
// the node's entry of the old one would serve for ten seconds more.
func TestNewMACIsAnnounced(t *testing.T) {
	withNode(t, func(node *link.Node, pod *link.Namespace, n, p nstest.NS) {
		s := spec("a", addr4, addr6)
		if err := node.Wire(pod, s); err != nil {
			t.Fatal(err)
		}
		for _, mac := range []string{"02:00:5e:00:53:01", "02:00:5e:00:53:02"} {
			p.Run(t, "ip", "link", "set", "eth0", "address", mac)
			for _, addr := range []netip.Addr{addr4, addr6} {
				if out := n.Run(t, "ip", "neigh", "show", addr.String(), "dev", s.Host); !strings.Contains(out, mac) {
					t.Errorf("the pod has MAC %s now, its node knows %s", mac, out)
				}
				n.Run(t, "ping", "-c", "1", "-W", "5", addr.String())
			}
		}
	})
}

// A pod must not be able to give its node a route, whatever the node's default is.
func TestWireRefusesAdvertisements(t *testing.T) {
	withNode(t, func(node *link.Node, pod *link.Namespace, n, _ nstest.NS) {
		n.Run(t, "sysctl", "-qw", "net.ipv6.conf.default.accept_ra=2", "net.ipv4.conf.default.rp_filter=0")
		s := spec("a", addr4, addr6)
		if err := node.Wire(pod, s); err != nil {
			t.Fatal(err)
		}
		for setting, want := range map[string]string{"ipv6.conf." + s.Host + ".accept_ra": "0", "ipv4.conf." + s.Host + ".rp_filter": "1"} {
			if got := strings.TrimSpace(n.Run(t, "sysctl", "-n", "net."+setting)); got != want {
				t.Errorf("%s is %s, want %s", setting, got, want)
			}
		}
	})
}

// The node's end is up before it is guarded; by the time that it has a carrier it
// must have been told to make no address of itself.
func TestNodesEndMakesNoAddress(t *testing.T) {
	withNode(t, func(node *link.Node, pod *link.Namespace, n, _ nstest.NS) {
		s := spec("a", addr4)
		if err := node.Wire(pod, s); err != nil {
			t.Fatal(err)
		}
		if out := n.Run(t, "ip", "link", "show", "dev", s.Host); !strings.Contains(out, "state UP") {
			t.Errorf("packets do not pass yet: %s", out)
		}
		if out := n.Run(t, "ip", "-6", "addr", "show", "dev", s.Host); out != "" {
			t.Errorf("the link of an IPv4 pod has an IPv6 address: %s", out)
		}
	})
}

// A packet with a source that is not the pod's goes nowhere.
func TestSourceIsChecked(t *testing.T) {
	withNode(t, func(node *link.Node, pod *link.Namespace, n, p nstest.NS) {
		n.Run(t, "sysctl", "-qw", "net.ipv4.ip_forward=1")
		if err := node.Wire(pod, spec("a", addr4)); err != nil {
			t.Fatal(err)
		}
		p.Run(t, "ping", "-c", "1", "-W", "5", nodeAddr)
		p.Run(t, "ip", "addr", "add", "10.77.1.99/32", "dev", "eth0")
		p.Run(t, "sh", "-c", "! ping -c 1 -W 1 -I 10.77.1.99 "+nodeAddr)
	})
}

func TestUnwireTouchesOnlyOurs(t *testing.T) {
	withNode(t, func(node *link.Node, _ *link.Namespace, n, _ nstest.NS) {
		n.Run(t, "ip", "link", "add", "other0", "type", "bridge")
		if err := node.Unwire("other0"); err == nil {
			t.Error("a link that is not ours was deleted")
		}
		n.Run(t, "ip", "link", "show", "other0")
	})
}

func TestOpenNamespaceRefuses(t *testing.T) {
	n := nstest.New(t, "node")
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	n.Do(t, func() {
		for path, want := range map[string]error{
			n.Path():         link.ErrOwnNamespace,
			"/run/netns/not": link.ErrNoNamespace,
			file:             link.ErrNoNamespace,
		} {
			if ns, err := link.OpenNamespace(path); !errors.Is(err, want) || ns != nil {
				t.Errorf("%s: %v, want %v", path, err, want)
			}
		}
	})
}
