package filter_test

import (
	"net"
	"strconv"
	"testing"
	"time"

	"fairlead.dev/dataplane/nstest"
)

const (
	notThePods = "not the pod's address"
	notForPods = "link-local services are not for pods"
)

// rises waits until a rule has dropped more than before.
func (s *site) rises(t *testing.T, comment string, before int, act func()) {
	t.Helper()
	for range 100 { // the first packets may wait for a neighbour
		act()
		if dropped(t, s.node, comment) > before {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("no packet was dropped for %q", comment)
}

// A pod that takes another's address, the node's, one of its own block that is
// nobody's, or one from outside, reaches nobody with it; also where systemd's
// defaults made rp_filter loose.
func TestSpoofedSources(t *testing.T) {
	s := newSite(t)
	apply(t, s.table, shared())
	s.node.Run(t, "ip", "route", "add", "blackhole", "10.244.1.0/24")
	s.node.Run(t, "ip", "-6", "route", "add", "blackhole", "fd44::1:0/112")
	s.node.Run(t, "sysctl", "-qw", "net.ipv4.conf."+s.podLink+".rp_filter=2", "net.ipv4.conf.all.rp_filter=2")
	for f, family := range families {
		for name, from := range map[string]string{
			"another pod's": otherAddr[f], "the node's": nodeAddr[f], "an uplink's": uplinkAddr(f, 1), "a ToR's": torAddr(f, 1),
			"nobody's": [2]string{"10.244.1.77", "fd44::1:77"}[f], "outside": [2]string{"203.0.113.9", "2001:db8:9::9"}[f],
			"loopback": [2]string{"127.0.0.9", "::1"}[f],
		} {
			if name != "loopback" {
				s.pod.Run(t, "ip", "addr", "replace", from, "dev", "eth0", "nodad")
			}
			if name == "loopback" && f == 0 {
				s.pod.Run(t, "sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
			}
			for _, to := range []string{outsideAddr[f], otherAddr[f]} {
				if name == "another pod's" && to == otherAddr[f] || name == "loopback" && f == 1 {
					continue // stays in the pod
				}
				before := dropped(t, s.node, notThePods)
				flow := dial(t, s.pod, from, to, echoPort)
				s.rises(t, notThePods, before, func() { _, _ = flow.Write([]byte("?")) })
				if got, ok := flow.try(t, 50*time.Millisecond); ok {
					t.Errorf("%s: a packet from %s (%s) to %s was seen as from %s", family, name, from, to, got)
				}
			}
			if name == "another pod's" {
				s.pod.Run(t, "ip", "addr", "del", from, "dev", "eth0")
			}
		}
		s.want(t, s.pod, otherAddr[f], podAddr[f])
	}
}

// What others have is theirs: links that only begin as ours do.
func TestOthersLinksAreNotChecked(t *testing.T) {
	s := newSite(t)
	apply(t, s.table, shared())
	// flannel.1 is a VXLAN device; its far end sends from an address that is routed elsewhere.
	overlay := func(ns nstest.NS, local, remote, addr string) {
		ns.Run(t, "ip", "link", "add", "flannel.1", "type", "vxlan", "id", "1", "dstport", "8472", "local", local, "remote", remote)
		ns.Run(t, "ip", "addr", "add", addr, "dev", "flannel.1")
		ns.Run(t, "ip", "link", "set", "flannel.1", "up")
	}
	overlay(s.node, uplinkAddr(0, 1), torAddr(0, 1), "10.250.0.2/24")
	overlay(s.tors[0], torAddr(0, 1), uplinkAddr(0, 1), "10.250.0.1/24")
	s.tors[0].Run(t, "ip", "addr", "add", "203.0.113.9", "dev", "lo")
	s.tors[0].Run(t, "ip", "route", "add", "10.244.1.6", "via", "10.250.0.2", "src", "203.0.113.9", "metric", "1")
	s.tors[0].Run(t, "ip", "route", "del", "10.244.1.6", "via", uplinkAddr(0, 1))
	s.node.Run(t, "sysctl", "-qw", "net.ipv4.conf.flannel/1.rp_filter=0")
	s.node.Run(t, "ip", "route", "add", "203.0.113.9", "via", torAddr(0, 1))
	s.want(t, s.tors[0], otherAddr[0], "203.0.113.9")
	if n := dropped(t, s.node, notThePods); n != 0 {
		t.Errorf("%d packets of another's link were dropped", n)
	}
}

// TestNodesLinkLocalServices: what listens on all addresses of the node, or on a
// link-local one, is not reached from a pod by the gateway's address or any other
// link-local one; DNS is, and ping.
func TestNodesLinkLocalServices(t *testing.T) {
	s := newSite(t)
	apply(t, s.table, shared())
	s.node.Run(t, "ip", "addr", "add", "169.254.20.10", "dev", "lo")
	s.node.Run(t, "ip", "addr", "add", "169.254.7.7", "dev", "lo")
	s.pod.Run(t, "ping", "-c", "1", "-W", "5", "169.254.1.1")
	s.pod.Run(t, "ping", "-c", "1", "-W", "5", "fe80::1%eth0")
	for _, to := range []string{"169.254.20.10"} {
		echoOn(t, s.node, to, 53)
		if got := dial(t, s.pod, "", to, 53).seen(t).Addr().String(); got != podAddr[0] {
			t.Errorf("DNS sees %s", got)
		}
		accept(t, s.node, to, 53)
		if err := connect(t, s.pod, "", to, 53); err != nil {
			t.Errorf("DNS by TCP: %v", err)
		}
	}
	accept(t, s.node, "", 10250)
	if err := connect(t, s.pod, "", nodeAddr[0], 10250); err != nil {
		t.Errorf("the node's own address: %v", err)
	}
	if err := connect(t, s.pod, "", nodeAddr[1], 10250); err != nil {
		t.Errorf("the node's own address: %v", err)
	}
	for to, from := range map[string]string{
		"169.254.1.1": "", "169.254.20.10": "", "169.254.7.7": "", "fe80::1%eth0": podAddr[1],
	} {
		before := dropped(t, s.node, notForPods)
		if err := connect(t, s.pod, from, to, 10250); err == nil {
			t.Errorf("a pod reaches the node's port 10250 by %s", to)
		}
		if dropped(t, s.node, notForPods) == before {
			t.Errorf("nothing says that it was dropped on the way to %s", to)
		}
	}
	if err := connect(t, s.pod, "", "fe80::1%eth0", 10250); err == nil || dropped(t, s.node, notThePods) == 0 {
		t.Errorf("from the pod's link-local address: %v", err)
	}
	for to, from := range map[string]string{"255.255.255.255": podAddr[0], "224.0.0.1": podAddr[0], "ff02::1%eth0": podAddr[1]} {
		flow := dial(t, s.pod, from, to, 68)
		s.rises(t, notForPods, dropped(t, s.node, notForPods), func() { _, _ = flow.Write([]byte("?")) })
	}
}

// A node without an IPv6 address of its own speaks to its pods from the gateway's.
func TestNodeSpeaksFromTheGateway(t *testing.T) {
	s := newSite(t)
	apply(t, s.table, shared())
	for _, dev := range []string{"lo", "eth1", "eth2"} {
		s.node.Run(t, "ip", "-6", "addr", "flush", "dev", dev, "scope", "global")
	}
	if got := dial(t, s.node, "", otherAddr[1], echoPort).seen(t).Addr().WithZone(""); got.String() != "fe80::1" {
		t.Errorf("the pod sees %s, want fe80::1", got)
	}
}

func accept(t *testing.T, ns nstest.NS, addr string, port int) {
	t.Helper()
	ns.Do(t, func() {
		l, err := net.Listen("tcp", net.JoinHostPort(addr, strconv.Itoa(port)))
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { _ = l.Close() })
	})
}

func connect(t *testing.T, ns nstest.NS, from, addr string, port int) (err error) {
	t.Helper()
	ns.Do(t, func() {
		var c net.Conn
		d := net.Dialer{Timeout: time.Second}
		if from != "" {
			d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
		}
		if c, err = d.DialContext(t.Context(), "tcp", net.JoinHostPort(addr, strconv.Itoa(port))); err == nil {
			_ = c.Close()
		}
	})
	return err
}
