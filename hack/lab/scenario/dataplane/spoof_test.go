package dataplane

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/dataplane"
	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/flow"
	"fairlead.dev/hack/lab/topology"
)

// podLink is the pod's own end of its link.
const podLink = "eth0"

// spoofed has a pod send from addresses that are not its own: nothing comes.
func (s *scene) spoofed(t *testing.T) {
	neighbour, near := s.addPod(t, "n1", "neighbour"), s.addPod(t, "n1", "near")
	_, n1, err := s.Topology().Node("n1")
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string][]netip.Addr{
		s.c.Role(): s.c.Addresses, near.Role(): near.Addresses, "n3": s.addressesOf("n3"),
		"n1": {s.Topology().NodeManagement(n1)},
	}
	// Of a pod elsewhere, of a pod beside, of the node, and nobody's.
	sources := slices.Concat(s.b.Addresses, neighbour.Addresses, s.addressesOf("n1"),
		[]netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")})
	for to, addresses := range targets {
		for _, a := range addresses {
			s.trickle(t, fmt.Sprintf("a to %s", a), flow.Way{From: s.ns(s.a.Role()), To: s.ns(to), Target: netip.AddrPortFrom(a, 0)})
		}
	}
	for _, source := range sources {
		s.exec(t, s.a.Role(), "ip", "addr", "add", netip.PrefixFrom(source, source.BitLen()).String(), "dev", podLink, "nodad")
	}
	t.Cleanup(func() {
		for _, source := range sources {
			s.exec(t, s.a.Role(), "ip", "addr", "del", netip.PrefixFrom(source, source.BitLen()).String(), "dev", podLink)
		}
	})
	var probes sync.WaitGroup
	for to, addresses := range targets {
		for _, target := range addresses {
			for _, source := range sources {
				if source.Is4() == target.Is4() {
					probes.Go(func() { s.nothingComes(t, s.a, source, to, target) })
				}
			}
		}
	}
	probes.Wait()
}

func (s *scene) addressesOf(node string) []netip.Addr {
	var all []netip.Addr
	for _, f := range families() {
		all = append(all, s.Node(node).Address(f))
	}
	return all
}

func (s *scene) nothingComes(t *testing.T, from lab.Pod, source netip.Addr, to string, target netip.Addr) {
	c, err := flow.Probe(t.Context(), flow.Way{From: s.ns(from.Role()), To: s.ns(to), Source: source, Target: netip.AddrPortFrom(target, 0)})
	if err != nil || c.Received != 0 {
		t.Errorf("%s sends from %s to %s of %s: %v, seen from %v, %v", from.Name, source, target, to, c, c.Sources, err)
	}
}

// claimed has a pod claim others' addresses, and to be a router: its node believes
// nothing of it.
func (s *scene) claimed(t *testing.T) {
	const node = "n1"
	neighbour := s.addPod(t, node, "neighbour")
	link := s.hostLink(t, node, s.a)
	// Whoever changes our settings of the link does not open the door.
	s.exec(t, node, "sysctl", "-q", "-w", "net.ipv6.conf."+link+".accept_ra=2")
	t.Cleanup(func() { s.exec(t, node, "sysctl", "-q", "-w", "net.ipv6.conf."+link+".accept_ra=0") })
	for _, f := range families() {
		s.answered(t, node, neighbour.Address(f))
		s.answered(t, node, s.a.Address(f))
	}
	before := s.believed(t, node)
	n := s.nic(t, s.a.Role(), podLink)
	out := s.sender(t, s.a.Role(), n)
	rack, _, err := s.Topology().Node(node)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		for _, f := range families() {
			for _, a := range []netip.Addr{neighbour.Address(f), s.b.Address(f), rack.ToRAddress(f, 0), s.Node(node).Address(f)} {
				if f == topology.V6 {
					out.send(claim6(a, n.mac()))
					continue
				}
				out.send(claim(a, n.mac(), false, a))
				out.send(claim(a, n.mac(), true, netip.MustParseAddr("169.254.1.1")))
			}
		}
		out.send(advertisement(allNodesMAC(), n.mac(), n.mac().LinkLocal(), time.Hour, netip.MustParsePrefix("2001:db8:bad::/64")))
	}
	for _, f := range families() { // after what was sent before, on the same link
		s.answered(t, s.a.Role(), s.Node(node).Address(f))
		s.answered(t, node, neighbour.Address(f))
	}
	if d := cmp.Diff(before, s.believed(t, node)); d != "" {
		t.Errorf("what %s believes (-before +after):\n%s", node, d)
	}
}

// hostLink is the node's end of a pod's link.
func (s *scene) hostLink(t *testing.T, node string, pod lab.Pod) string {
	t.Helper()
	fields := strings.Fields(s.exec(t, node, "ip", "-o", "route", "get", pod.Address(topology.V4).String()))
	i := slices.Index(fields, "dev")
	if i < 0 || !strings.HasPrefix(fields[i+1], dataplane.LinkPrefix) {
		t.Fatalf("the way to %s: %v", pod.Name, fields)
	}
	return fields[i+1]
}

// believed is what a node knows of its neighbours, without when it heard it, and
// of IPv6 routes and addresses, a line each.
func (s *scene) believed(t *testing.T, node string) []string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(s.exec(t, node, "ip", "-o", "neigh", "show")) {
		if fields := strings.Fields(line); len(fields) > 4 && fields[3] == "lladdr" {
			lines = append(lines, strings.Join(fields[:5], " "))
		}
	}
	for _, what := range [][]string{{"-6", "route", "show"}, {"-6", "-o", "addr", "show"}} {
		for line := range strings.Lines(s.exec(t, node, append([]string{"ip"}, what...)...)) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	slices.Sort(lines)
	return lines
}

// gatewayServes has a service of the node listen everywhere: a pod gets to it by the
// node's own address, and not by its gateway's.
func (s *scene) gatewayServes(t *testing.T) {
	const node = "n1"
	// Without an address of that name on the node there would be nothing to get to.
	s.exec(t, node, "ip", "addr", "add", "169.254.1.1/32", "dev", "lo")
	t.Cleanup(func() { s.exec(t, node, "ip", "addr", "del", "169.254.1.1/32", "dev", "lo") })
	s.serve(t, node, port)
	for _, f := range families() {
		if seen, err := s.seenBy(t, s.a.Role(), netip.AddrPortFrom(s.Node(node).Address(f), port)); err != nil || seen != s.a.Address(f) {
			t.Errorf("service of the node, %s: seen %s, %v", f, seen, err)
		}
	}
	zone := fmt.Sprint(s.nic(t, s.a.Role(), podLink).Index) // by number: names are cached, of all namespaces
	gateway := netip.MustParseAddr("fe80::1").WithZone(zone)
	s.unreachable(t, s.a.Role(), netip.AddrPortFrom(gateway, port))
	s.unreachable(t, s.a.Role(), netip.MustParseAddrPort("169.254.1.1:8080"))
	// By the address that packets come back to: there is no route to link-local ones.
	s.exec(t, s.a.Role(), "ping", "-c", "3", "-i", "0.1", "-W", "5", "-I", s.a.Address(topology.V6).String(), "fe80::1%"+podLink)
}
