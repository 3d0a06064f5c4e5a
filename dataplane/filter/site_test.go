package filter_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/filter"
	"fairlead.dev/dataplane/link"
	"fairlead.dev/dataplane/nstest"
)

// Addresses of a site, one of each family.
var (
	nodeAddr    = [2]string{"192.0.2.1", "2001:db8::1"}
	podAddr     = [2]string{"10.244.1.5", "fd44::1:5"}
	otherAddr   = [2]string{"10.244.1.6", "fd44::1:6"}
	remoteAddr  = [2]string{"10.244.9.9", "fd44::9:9"} // a pod of another node, behind the ToRs
	outsideAddr = [2]string{"198.51.100.1", "2001:db8:ff::1"}
	families    = [2]string{"IPv4", "IPv6"}
)

const echoPort = 7

// site is a node with two pods, wired as the plugin does it, two ToRs that share
// its default routes, and a host behind them that echoes.
type site struct {
	node, pod, other, outside nstest.NS
	tors                      [2]nstest.NS
	table                     *filter.Table
	podLink                   string // the host's end
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{node: quickNS(t, "node"), outside: quickNS(t, "outside")}
	forward(t, s.node)
	for i := range s.tors {
		s.tors[i] = quickNS(t, fmt.Sprintf("tor%d", i+1))
		s.connect(t, i+1)
	}
	for f, ip := range [2][]string{{"ip", "-4"}, {"ip", "-6"}} {
		run := func(ns nstest.NS, args ...string) { ns.Run(t, ip[0], append(ip[1:], args...)...) }
		run(s.node, "addr", "add", nodeAddr[f], "dev", "lo")
		run(s.outside, "addr", "add", outsideAddr[f], "dev", "lo")
		run(s.outside, "addr", "add", remoteAddr[f], "dev", "lo")
		run(s.node, "route", "add", "default", "nexthop", "via", torAddr(f, 1), "nexthop", "via", torAddr(f, 2))
		run(s.outside, "route", "add", "default", "nexthop", "via", upAddr(f, 1), "nexthop", "via", upAddr(f, 2))
	}
	s.pod, s.podLink = s.wire(t, "pod", podAddr)
	s.other, _ = s.wire(t, "other", otherAddr)
	for f := range families {
		echo(t, s.outside, outsideAddr[f])
		echo(t, s.outside, remoteAddr[f])
		echo(t, s.other, otherAddr[f])
	}
	s.table = open(t, s.node)
	return s
}

// quickNS has no duplicate address detection to wait for.
func quickNS(t testing.TB, role string) nstest.NS {
	t.Helper()
	ns := nstest.New(t, role)
	ns.Run(t, "sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.all.accept_dad=0", "net.ipv4.conf.default.rp_filter=0", "net.ipv4.conf.all.rp_filter=0")
	return ns
}

func forward(t testing.TB, ns nstest.NS) {
	ns.Run(t, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
}

// Addresses of the links around ToR i, by family.
func torAddr(f, i int) string {
	return [2]string{fmt.Sprintf("10.0.%d.1", i), fmt.Sprintf("fd00:%d::1", i)}[f]
}

func uplinkAddr(f, i int) string {
	return [2]string{fmt.Sprintf("10.0.%d.2", i), fmt.Sprintf("fd00:%d::2", i)}[f]
}

func upAddr(f, i int) string {
	return [2]string{fmt.Sprintf("10.9.%d.1", i), fmt.Sprintf("fd09:%d::1", i)}[f]
}

func farAddr(f, i int) string {
	return [2]string{fmt.Sprintf("10.9.%d.2", i), fmt.Sprintf("fd09:%d::2", i)}[f]
}

func (s *site) connect(t testing.TB, i int) {
	tor, name := s.tors[i-1], fmt.Sprintf("eth%d", i)
	forward(t, tor)
	s.node.Run(t, "ip", "link", "add", name, "type", "veth", "peer", "name", "south", "netns", tor.Name)
	tor.Run(t, "ip", "link", "add", "north", "type", "veth", "peer", "name", name, "netns", s.outside.Name)
	for _, end := range []struct {
		ns   nstest.NS
		link string
		addr func(f, i int) string
	}{{s.node, name, uplinkAddr}, {tor, "south", torAddr}, {tor, "north", upAddr}, {s.outside, name, farAddr}} {
		end.ns.Run(t, "ip", "link", "set", end.link, "up")
		end.ns.Run(t, "ip", "addr", "add", end.addr(0, i)+"/24", "dev", end.link)
		end.ns.Run(t, "ip", "addr", "add", end.addr(1, i)+"/64", "dev", end.link)
	}
	for f := range families {
		for _, to := range []string{nodeAddr[f], podAddr[f], otherAddr[f]} {
			tor.Run(t, "ip", "route", "add", to, "via", uplinkAddr(f, i))
		}
		for _, to := range []string{outsideAddr[f], remoteAddr[f]} {
			tor.Run(t, "ip", "route", "add", to, "via", farAddr(f, i))
		}
		s.outside.Run(t, "ip", "route", "add", uplinkAddr(f, i), "via", upAddr(f, i))
	}
}

func (s *site) wire(t testing.TB, id string, addrs [2]string) (pod nstest.NS, host string) {
	t.Helper()
	pod = nstest.New(t, id)
	spec := link.Spec{
		Host: link.Name(id, "eth0"), Pod: "eth0", MTU: 1500,
		Addresses: []netip.Addr{netip.MustParseAddr(addrs[0]), netip.MustParseAddr(addrs[1])},
	}
	s.node.Do(t, func() {
		node, err := link.Dial()
		if err != nil {
			t.Fatal(err)
		}
		defer node.Close()
		ns, err := link.OpenNamespace(pod.Path())
		if err != nil {
			t.Fatal(err)
		}
		defer ns.Close()
		if err := node.Wire(ns, spec); err != nil {
			t.Fatal(err)
		}
	})
	return pod, spec.Host
}

// shared is what the agent makes of a site all of whose pods are translated.
func shared() dataplane.Filter {
	out := dataplane.Filter{Pods: prefixes("10.244.0.0/16", "fd44::/64"), Translated: prefixes("10.244.0.0/16", "fd44::/64")}
	for _, addr := range nodeAddr {
		out.Uplinks = append(out.Uplinks, uplink("eth1", addr), uplink("eth2", addr))
	}
	return out
}

// echo answers each datagram with the source that it came from.
func echo(t testing.TB, ns nstest.NS, addr string) { echoOn(t, ns, addr, echoPort) }

func echoOn(t testing.TB, ns nstest.NS, addr string, port int) {
	t.Helper()
	var conn net.PacketConn
	ns.Do(t, func() {
		var err error
		if conn, err = net.ListenPacket("udp", net.JoinHostPort(addr, fmt.Sprint(port))); err != nil {
			t.Error(err)
		}
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1500)
		for {
			_, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo([]byte(from.String()), from)
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
}

// flow is a datagram flow to an echo.
type flow struct{ net.Conn }

// open a flow, from an address of the namespace unless it is "".
func dial(t testing.TB, ns nstest.NS, from, to string, port int) flow {
	t.Helper()
	d := net.Dialer{}
	if from != "" {
		d.LocalAddr = &net.UDPAddr{IP: net.ParseIP(from)}
	}
	var f flow
	ns.Do(t, func() {
		var err error
		if f.Conn, err = d.DialContext(t.Context(), "udp", net.JoinHostPort(to, fmt.Sprint(port))); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// seen is the source that the echo sees. A packet may be lost, such as the first
// to a neighbour.
func (f flow) seen(t *testing.T) netip.AddrPort {
	t.Helper()
	for range 20 {
		if got, ok := f.try(t, 500*time.Millisecond); ok {
			return got
		}
	}
	t.Fatalf("no answer from %s", f.RemoteAddr())
	return netip.AddrPort{}
}

func (f flow) try(t *testing.T, patience time.Duration) (netip.AddrPort, bool) {
	t.Helper()
	_, _ = f.Write([]byte("?")) // an ICMP error of the one before is no matter
	_ = f.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, 1500)
	n, err := f.Read(b)
	if err != nil {
		return netip.AddrPort{}, false
	}
	return netip.MustParseAddrPort(string(b[:n])), true
}

// want checks the source that a new flow is seen with.
func (s *site) want(t *testing.T, ns nstest.NS, to, source string) {
	t.Helper()
	if got := dial(t, ns, "", to, echoPort).seen(t); got.Addr().String() != source {
		t.Errorf("%s sees %s, want %s", to, got.Addr(), source)
	}
}

// dropped counts what the rule with that comment dropped.
func dropped(t *testing.T, ns nstest.NS, comment string) (packets int) {
	t.Helper()
	var list struct {
		NFTables []struct {
			Rule struct {
				Comment string
				Expr    []struct{ Counter *struct{ Packets int } }
			}
		}
	}
	out := ns.Run(t, "nft", "--json", "list", "table", "inet", filter.Name)
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatal(err)
	}
	found := false
	for _, item := range list.NFTables {
		for _, e := range item.Rule.Expr {
			if e.Counter != nil && strings.Contains(item.Rule.Comment, comment) {
				found = true
				packets += e.Counter.Packets
			}
		}
	}
	if !found {
		t.Fatalf("no rule that counts says %q:\n%s", comment, out)
	}
	return packets
}
