package dataplane

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/topology"
)

// repair is how soon drift is to be undone: far sooner than by the agent's full
// comparison, which comes once a minute.
const repair = 10 * time.Second

// routesOf are the agent's routes of both families with all that iproute2 knows
// of them.
func (s *scene) routesOf(ctx context.Context, node string) (string, error) {
	var all string
	for _, family := range []string{"-4", "-6"} {
		out, err := s.Exec(ctx, node, "ip", family, "-d", "route", "show", "table", "all", "proto", lab.AgentProtocol())
		if err != nil {
			return "", err
		}
		all += out
	}
	return all, nil
}

func (s *scene) routes(t *testing.T, node string) string {
	t.Helper()
	out, err := s.routesOf(t.Context(), node)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// restored waits until a node's routes are again what they were.
func (s *scene) restored(t *testing.T, node, want string) time.Duration {
	t.Helper()
	return s.eventually(t, "the routes of before", func(ctx context.Context) error {
		got, err := s.routesOf(ctx, node)
		if d := cmp.Diff(want, got); err == nil && d != "" {
			err = fmt.Errorf("(-want +got):\n%s", d)
		}
		return err
	})
}

// disturbed changes something of a node's routes, and waits until all is as before.
func (s *scene) disturbed(t *testing.T, what, node, before string, argv ...string) {
	t.Helper()
	m, err := s.StartMonitor(t.Context(), node)
	if err != nil {
		t.Fatal(err)
	}
	s.exec(t, node, append([]string{"ip"}, argv...)...)
	took := s.restored(t, node, before)
	record, err := m.Stop(t.Context())
	if err != nil {
		t.Error(err)
	}
	if !strings.Contains(record, "proto "+lab.AgentProtocol()) {
		t.Errorf("%s: nothing was changed: %s", what, record)
	}
	t.Logf("%s: repaired within %v", what, took.Round(10*time.Millisecond))
	if took > repair {
		t.Errorf("%s: repaired after %v only", what, took)
	}
}

// routesDrift has somebody change routes of the agent's in every way that a route
// can be changed without its going.
func (s *scene) routesDrift(t *testing.T) {
	const node = "n1"
	before := s.routes(t, node)
	rack, _, err := s.Topology().Node(node)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families() {
		family := fmt.Sprintf("-%d", f.Number())
		far, near, own := s.blockOf(t, "n3", f).String(), s.blockOf(t, "n2", f).String(), s.blockOf(t, node, f).String()
		tor1, tor2 := rack.ToRAddress(f, 0).String(), rack.ToRAddress(f, 1).String()
		ours := []string{"proto", lab.AgentProtocol(), "metric", "1700"}
		replace := func(what ...string) []string {
			return append(append([]string{family, "route", "replace"}, what...), ours...)
		}
		for _, tc := range []struct {
			name string
			argv []string
		}{
			{"another next hop", replace(near, "via", tor1)},
			{"a next hop less", replace(far, "via", tor1)},
			{"other weights", replaceMultipath(family, far, ours, tor1, "1", tor2, "9")},
			{"another type", replace("unreachable", own)},
			{"a preferred source", replace(far, "via", tor2, "src", s.Node(node).Address(f).String())},
			{"a metric of the connection", replace(far, "via", tor2, "mtu", "1300")},
			{"taken away", []string{family, "route", "del", far, "proto", lab.AgentProtocol()}},
			{"one more route", replace(map[topology.Family]string{topology.V4: "192.0.2.0/24", topology.V6: "2001:db8::/64"}[f], "via", tor1)},
		} {
			s.disturbed(t, fmt.Sprintf("%s, %s", f, tc.name), node, before, tc.argv...)
		}
	}
}

// replaceMultipath is a route with two next hops and their weights. iproute2 wants
// what is of the route before what is of the next hops.
func replaceMultipath(family, prefix string, ours []string, hop1, weight1, hop2, weight2 string) []string {
	argv := append([]string{family, "route", "replace", prefix}, ours...)
	return append(argv, "nexthop", "via", hop1, "weight", weight1, "nexthop", "via", hop2, "weight", weight2)
}

// routesFlushed takes all routes of the agent's away, under load. What was lost is
// what was sent before the repair, and of the other family nothing.
func (s *scene) routesFlushed(t *testing.T) {
	const node = "n1"
	before := s.routes(t, node)
	for _, f := range families() {
		l := s.start(t, pair{s.a, s.b}, pair{s.a, s.c})
		s.disturbed(t, f.String()+" flushed", node, before, fmt.Sprintf("-%d", f.Number()), "route", "flush", "proto", lab.AgentProtocol())
		l.more(t, enough)
		for name, c := range l.stop(t) {
			if c.Duplicated != 0 || (c.Lost() > c.Overrun && !strings.Contains(name, f.String())) {
				t.Errorf("%s is flushed: %s: %v", f, name, c)
			}
		}
	}
}
