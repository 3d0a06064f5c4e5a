package dataplane

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/flow"
	"fairlead.dev/hack/lab/topology"
)

// port is what servers listen on.
const port = 8080

// natOutgoing is what pods' packets look like to those who get them.
func (s *scene) natOutgoing(t *testing.T) {
	for _, f := range families() {
		s.comesFrom(t, s.a, topology.RoleOutside, s.Topology().OutsideAddress(f), s.a.Address(f))
	}
	t.Cleanup(func() { s.setNATOutgoing(t, false) })
	s.setNATOutgoing(t, true)
	s.strangerHas(t)
	theirs := s.exec(t, "n1", "nft", "list", "table", strangersTable)
	for _, f := range families() {
		outside := s.Topology().OutsideAddress(f)
		s.comesFrom(t, s.a, topology.RoleOutside, outside, s.Node("n1").Address(f))
		s.comesFrom(t, s.c, topology.RoleOutside, outside, s.Node("n3").Address(f))
		s.comesFrom(t, s.a, s.b.Role(), s.b.Address(f), s.a.Address(f))
		s.comesFrom(t, s.a, s.c.Role(), s.c.Address(f), s.a.Address(f))
		s.comesFrom(t, s.a, "n1", s.Node("n1").Address(f), s.a.Address(f))
	}
	s.services(t)
	for _, f := range families() {
		s.exec(t, "n1", "nft", "flush", "ruleset")
		took := s.eventually(t, "translation after somebody's nft flush ruleset", func(ctx context.Context) error {
			return s.sourceIs(ctx, s.a, topology.RoleOutside, s.Topology().OutsideAddress(f), s.Node("n1").Address(f))
		})
		t.Logf("%s: repaired within %v after nft flush ruleset", f, took.Round(10*time.Millisecond))
		if took > repair {
			t.Errorf("%s: repaired after %v only", f, took)
		}
		s.strangerHas(t)
	}
	l := s.start(t, pair{s.a, s.c}, pair{s.b, s.a})
	for _, on := range []bool{false, true, false} {
		s.setNATOutgoing(t, on)
		for _, f := range families() {
			s.comesFrom(t, s.a, topology.RoleOutside, s.Topology().OutsideAddress(f),
				map[bool]netip.Addr{true: s.Node("n1").Address(f), false: s.a.Address(f)}[on])
		}
		l.more(t, enough)
	}
	l.stopWithoutLoss(t, 0)
	if d := cmp.Diff(theirs, s.exec(t, "n1", "nft", "list", "table", strangersTable)); d != "" {
		t.Errorf("somebody else's table (-before +after):\n%s", d)
	}
}

// comesFrom waits until what a pod sends to a role is seen from an address.
func (s *scene) comesFrom(t *testing.T, from lab.Pod, to string, at, source netip.Addr) {
	t.Helper()
	s.eventually(t, fmt.Sprintf("packets of %s to %s from %s", from.Name, to, source), func(ctx context.Context) error {
		return s.sourceIs(ctx, from, to, at, source)
	})
}

func (s *scene) sourceIs(ctx context.Context, from lab.Pod, to string, at, source netip.Addr) error {
	c, err := flow.Probe(ctx, flow.Way{From: s.ns(from.Role()), To: s.ns(to), Target: netip.AddrPortFrom(at, 0)})
	if err == nil && (c.Received == 0 || c.Sources[source] != c.Received) {
		err = fmt.Errorf("%v, seen from %v", c, c.Sources)
	}
	return err
}

// strangersTable is somebody else's.
const strangersTable = "inet lab-stranger"

// strangerHas has somebody make a table of rules like ours on n1.
func (s *scene) strangerHas(t *testing.T) {
	t.Helper()
	s.exec(t, "n1", "nft", strings.Join([]string{
		"add table " + strangersTable,
		"add set " + strangersTable + " pods { type ipv4_addr; flags interval; elements = { 10.244.0.0/16 }; }",
		"add chain " + strangersTable + " post { type nat hook postrouting priority srcnat; }",
		"add rule " + strangersTable + " post ip daddr 192.0.2.1 masquerade",
	}, "; "))
	t.Cleanup(func() { s.exec(t, "n1", "nft", "add table "+strangersTable+"; delete table "+strangersTable) })
}

// services are the ways by which kube-proxy leads packets to pods and to nodes.
func (s *scene) services(t *testing.T) {
	t.Helper()
	for _, role := range []string{s.a.Role(), s.c.Role(), "n3"} {
		s.serve(t, role, port)
	}
	for _, f := range families() {
		service := map[topology.Family]string{topology.V4: "10.96.0.", topology.V6: "fd00:96::"}[f]
		daddr := map[topology.Family]string{topology.V4: "ip", topology.V6: "ip6"}[f] + " daddr "
		at := func(a netip.Addr) netip.AddrPort { return netip.AddrPortFrom(a, port) }
		parse := func(host string) netip.AddrPort { return at(netip.MustParseAddr(service + host)) }
		s.translate(t, "n1", f, daddr+parse("10").Addr().String()+" tcp dport 8080", at(s.c.Address(f)), "")
		s.translate(t, "n1", f, daddr+parse("11").Addr().String()+" tcp dport 8080", at(s.Node("n3").Address(f)), "")
		s.translate(t, "n1", f, "fib daddr type local tcp dport 30081", at(s.a.Address(f)), "")
		seen, err := s.seenBy(t, s.a.Role(), parse("10"))
		if err != nil || seen != s.a.Address(f) {
			t.Errorf("service of a pod, %s: seen %s, %v", f, seen, err)
		}
		if seen, err = s.seenBy(t, s.a.Role(), parse("11")); err != nil || (seen != s.a.Address(f) && seen != s.Node("n1").Address(f)) {
			t.Errorf("service of a node, %s: seen %s, %v", f, seen, err)
		}
		// externalTrafficPolicy Local: the pod sees who asks, who sees the node.
		seen, err = s.seenBy(t, topology.RoleOutside, netip.AddrPortFrom(s.Node("n1").Address(f), 30081))
		if err != nil || seen != s.Topology().OutsideAddress(f) {
			t.Errorf("node port of a pod on the node, %s: seen %s, %v", f, seen, err)
		}
	}
}
