package dataplane

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"fairlead.dev/hack/lab/flow"
	"fairlead.dev/hack/lab/topology"
)

// guarded is the node that has a firewalld.
const guarded = "n1"

// firewalld has a node get one while its pods talk, and then has it do all that it
// does. Until it is told of the pods it lets through what it finds begun, and
// nothing new; then all; and our table stays as it is.
func (s *scene) firewalld(t *testing.T) {
	t.Cleanup(func() { s.setNATOutgoing(t, false) })
	s.setNATOutgoing(t, true)
	for _, f := range families() {
		s.translated(t, f)
	}
	ruleset, ours := s.ruleset(t, "ruleset"), s.ruleset(t, "table", "inet", "fairlead")
	l := s.guardedFlows(t)
	w := s.startFirewalld(t)
	s.refused(t, "before firewalld knows of pods")
	for _, line := range s.advice(t) {
		w.cmd(t, line...)
	}
	w.cmd(t, "--zone", "public", "--add-masquerade") // of all that leaves, but for pods to pods
	s.letsThrough(t)
	w.cmd(t, "--reload")
	w.cmd(t, "--complete-reload")
	s.letsThrough(t)
	l.stopWithoutLoss(t, 0)

	l = s.guardedFlows(t)
	w.cmd(t, "--panic-on")
	s.refused(t, "while firewalld panics")
	w.cmd(t, "--panic-off")
	l.more(t, enough)
	l.stop(t)
	s.letsThrough(t)
	if d := cmp.Diff(ours, s.ruleset(t, "table", "inet", "fairlead")); d != "" {
		t.Errorf("our table beside firewalld's (-before +after):\n%s", d)
	}

	l = s.guardedFlows(t)
	w.stop(t)
	l.stopWithoutLoss(t, 0)
	if d := cmp.Diff(ruleset, s.ruleset(t, "ruleset")); d != "" {
		t.Errorf("what firewalld leaves (-before +after):\n%s", d)
	}
}

// advice is what docs/dataplane.md tells users of firewalld to do.
func (s *scene) advice(t *testing.T) [][]string {
	t.Helper()
	text, err := os.ReadFile("../../../../docs/dataplane.md")
	if err != nil {
		t.Fatal(err)
	}
	var lines [][]string
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		if words := strings.Fields(line); len(words) > 0 && words[0] == "firewall-cmd" {
			lines = append(lines, words[1:])
		}
	}
	if len(lines) < 5 {
		t.Fatalf("docs/dataplane.md: %d lines of firewall-cmd", len(lines))
	}
	return lines
}

// newcomers are connections that nobody has begun yet, to pods of the guarded node
// and from them.
func (s *scene) newcomers(f topology.Family) map[string]flow.Way {
	to := func(role string, at netip.Addr) flow.Way {
		return flow.Way{To: s.ns(role), Target: netip.AddrPortFrom(at, 0)}
	}
	ways := map[string]flow.Way{
		"a to c":           to(s.c.Role(), s.c.Address(f)),
		"a to the outside": to(topology.RoleOutside, s.Topology().OutsideAddress(f)),
	}
	for name, way := range ways {
		way.From = s.ns(s.a.Role())
		ways[name] = way
	}
	for name, role := range map[string]string{"c": s.c.Role(), "n3": "n3"} {
		way := to(s.a.Role(), s.a.Address(f))
		way.From = s.ns(role)
		ways[name+" to a"] = way
	}
	return ways
}

// refused fails the test if a newcomer comes through.
func (s *scene) refused(t *testing.T, when string) {
	t.Helper()
	var g errgroup.Group
	for _, f := range families() {
		for name, way := range s.newcomers(f) {
			g.Go(func() error {
				c, err := flow.Probe(t.Context(), way)
				if err == nil && c.Received != 0 {
					err = fmt.Errorf("%s, %s, %s: %v", name, f, when, c)
				}
				return err
			})
		}
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

// letsThrough waits until all newcomers come through, each from the address that it
// is to have.
func (s *scene) letsThrough(t *testing.T) {
	t.Helper()
	for _, f := range families() {
		ways := s.newcomers(f)
		for _, name := range slices.Sorted(maps.Keys(ways)) {
			s.trickle(t, fmt.Sprintf("%s, %s", name, f), ways[name])
		}
		s.translated(t, f)
		s.comesFrom(t, s.a, s.c.Role(), s.c.Address(f), s.a.Address(f))
		s.answered(t, s.a.Role(), s.Node(guarded).Address(f))
	}
}

// translated waits until the outside sees the guarded node in place of its pod.
func (s *scene) translated(t *testing.T, f topology.Family) {
	t.Helper()
	s.comesFrom(t, s.a, topology.RoleOutside, s.Topology().OutsideAddress(f), s.Node(guarded).Address(f))
}

// guardedFlows are flows by the guarded node, for connection tracking established.
func (s *scene) guardedFlows(t *testing.T) *load {
	t.Helper()
	l := &load{s: s, flows: map[string]*flow.Flow{}}
	for _, f := range families() {
		ways := s.newcomers(f)
		for _, name := range []string{"a to c", "c to a", "a to the outside"} {
			way := ways[name]
			way.Answered = true
			l.add(t, fmt.Sprintf("%s, %s", name, f), way)
		}
	}
	l.more(t, enough)
	return l
}

// ruleset is what nft says without counters.
func (s *scene) ruleset(t *testing.T, what ...string) string {
	t.Helper()
	return s.exec(t, guarded, append([]string{"nft", "--stateless", "list"}, what...)...)
}
