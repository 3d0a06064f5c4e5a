package dataplane

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/dataplane"
	"fairlead.dev/hack/lab/topology"
)

// lifetime of the advertised default route: short, so that it would be seen to end.
const lifetime = 3 * time.Second

// traceless has a machine that finds its IPv6 router by advertisements, and has an
// owner with rules of his own, become a node with all that Fairlead has, and leave.
// The default route never goes, and at the end all is as it was, byte for byte.
func (s *scene) traceless(t *testing.T) {
	const node = "n5"
	n, err := s.AddMachine(t.Context(), "r2", node)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.RemoveNode(context.WithoutCancel(t.Context()), node); err != nil {
			t.Error(err)
		}
	})
	s.furnish(t, node)
	s.advertise(t, node)
	s.eventually(t, "the advertised default route", func(ctx context.Context) error { return s.advertised(ctx, node) })
	s.answered(t, node, s.Topology().OutsideAddress(topology.V6))
	before := s.everything(t, node)

	s.encapsulatedMeanwhile(t, v1alpha1.EncapsulationVXLANCrossSubnet)
	t.Cleanup(func() { s.setNATOutgoing(t, false) })
	s.setNATOutgoing(t, true)
	if err := s.JoinNode(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	pod := s.addPod(t, node, "guest")
	for _, f := range families() {
		s.answered(t, s.a.Role(), pod.Address(f))
		s.answered(t, s.d.Role(), pod.Address(f))
		s.comesFrom(t, pod, topology.RoleOutside, s.Topology().OutsideAddress(f), n.Address(f))
	}
	s.exec(t, node, "ip", "link", "show", dataplane.OverlayLink)
	for began := time.Now(); time.Since(began) < 2*lifetime; {
		if err := s.advertised(t.Context(), node); err != nil {
			t.Fatalf("%v after the machine became a node: %v", time.Since(began), err)
		}
		if loss, err := s.Ping(t.Context(), pod.Role(), s.Topology().OutsideAddress(topology.V6), 20); err != nil || loss.Lost() != 0 {
			t.Errorf("ping of the outside: %v, %v", loss, err)
		}
	}

	if err := s.DelPod(t.Context(), pod.Name); err != nil {
		t.Fatal(err)
	}
	if err := s.agent(t, node).Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := n.Cleanup(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := s.everything(t, node)
	for what, was := range before {
		if d := cmp.Diff(strings.Split(was, "\n"), strings.Split(after[what], "\n")); d != "" {
			t.Errorf("%s (-before +after):\n%s", what, d)
		}
	}
	if err := s.advertised(t.Context(), node); err != nil {
		t.Errorf("after cleanup: %v", err)
	}
}

// furnish gives a machine what its owner might have there.
func (s *scene) furnish(t *testing.T, node string) {
	t.Helper()
	s.exec(t, node, "ip", "-6", "route", "del", "default")
	for _, argv := range [][]string{
		{"ip", "route", "add", "203.0.113.0/24", "via", "172.16.2.1", "proto", "static", "metric", "1700"},
		{"ip", "-6", "route", "add", "2001:db8:5::/64", "via", "fd00:172:16:2::1"},
		{"ip", "route", "add", "blackhole", "203.0.113.128/25", "table", "77"},
		{"ip", "rule", "add", "from", "203.0.113.0/24", "lookup", "77", "priority", "1000"},
		{"ip", "-6", "rule", "add", "from", "2001:db8:5::/64", "lookup", "77", "priority", "1000"},
		{"ip", "neigh", "add", "172.16.2.99", "lladdr", "02:00:00:00:00:99", "dev", "eth0", "nud", "permanent"},
		{"ip", "addr", "add", "203.0.113.1/32", "dev", "lo"},
		{"nft", "add table inet owner; add set inet owner pods { type ipv4_addr; flags interval; elements = { 10.0.0.0/8 }; }; " +
			"add chain inet owner input { type filter hook input priority 0; }; add rule inet owner input tcp dport 1 drop; " +
			"add table ip nat; add chain ip nat POSTROUTING { type nat hook postrouting priority 100; }"},
	} {
		s.exec(t, node, argv...)
	}
}

// advertise plays the rack's router, to one node alone, until the end of the test.
func (s *scene) advertise(t *testing.T, node string) {
	t.Helper()
	const tor, link = "r2-tor1", "rack"
	router, machine := s.nic(t, tor, link), s.nic(t, node, "eth0")
	out := s.sender(t, tor, router)
	source := linkLocal(t, s.exec(t, tor, "ip", "-6", "-o", "addr", "show", "dev", link, "scope", "link"))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	t.Cleanup(func() {
		stop()
		<-ended
	})
	go func() {
		defer close(ended)
		tick := time.NewTicker(lifetime / 10)
		defer tick.Stop()
		for {
			out.send(advertisement(machine.mac(), router.mac(), source, lifetime, netip.Prefix{}))
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
}

func linkLocal(t *testing.T, line string) netip.Addr {
	t.Helper()
	fields := strings.Fields(line)
	if len(fields) < 4 {
		t.Fatalf("link-local address: %q", line)
	}
	p, err := netip.ParsePrefix(fields[3])
	if err != nil {
		t.Fatal(err)
	}
	return p.Addr()
}

// advertised is nil while a node has a default route by advertisements.
func (s *scene) advertised(ctx context.Context, node string) error {
	out, err := s.Exec(ctx, node, "ip", "-6", "route", "show", "default", "proto", "ra")
	if err == nil && !strings.Contains(out, "default via fe80::") {
		err = fmt.Errorf("%s has no advertised default route: %q", node, out)
	}
	return err
}

// passing are what changes by itself: how long an advertised route is good for, and
// what the kernel counts.
var passing = regexp.MustCompile(`expires \d+sec|(?m)^(net.netfilter.nf_conntrack_count|fs\.|kernel\.|vm\.|dev\.|user\.|debug\.|abi\.|crypto\.|sunrpc\.).*\n`)

// everything is what a machine's kernel holds, by the command that shows it. Of
// neighbours only those that somebody has written: the others come and go.
func (s *scene) everything(t *testing.T, node string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, command := range []string{
		"ip -d link show", "ip -d addr show", "ip -d route show table all", "ip -6 -d route show table all",
		"ip rule show", "ip -6 rule show", "ip neigh show nud permanent", "ip -6 neigh show nud permanent",
		"ip nexthop show", "nft list ruleset", "sysctl -a",
	} {
		all[command] = passing.ReplaceAllString(s.exec(t, node, strings.Fields(command)...), "")
	}
	return all
}
