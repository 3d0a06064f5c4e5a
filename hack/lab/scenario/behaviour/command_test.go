package behaviour

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fairlead.dev/cniplugin/rundir"
	"fairlead.dev/controller/view"
	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/topology"
)

// fairlead runs the CLI in a role's namespace and returns its output and exit code.
func (s *scene) fairlead(ctx context.Context, role string, args ...string) (string, int, error) {
	program := s.FairleadCommand()
	if slices.Contains(args, "--socket") {
		program = program[:1] // and nothing of the API server
	}
	line := s.EnterCommand(role, append(program, args...)...)
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return out.String() + said.String(), exit.ExitCode(), nil
	}
	return out.String() + said.String(), 0, err
}

// socketOf are the flags that ask the agent of a node.
func (s *scene) socketOf(node string) []string {
	return []string{"--socket", filepath.Join(s.Node(node).RunDir(), rundir.AgentSocket)}
}

type peerLine struct {
	Node, Peer, Address, State, LastError string
	ASNumber                              int64
	Received, Accepted, Advertised        int64
}

type blockLine struct {
	CIDR, Node, Pool, State string
	Used, Capacity          int64
	Programmed, Advertised  bool
}

type statusLines struct {
	Well     bool
	Problems []struct{ Object, Condition, Reason, Message string }
	Pools    []struct {
		Name                                       string
		BlocksLeased, BlockCapacity, AddressesUsed int64
	}
	Nodes []struct {
		Name, Ready string
		Report      struct{ SessionsEstablished, SessionsWanted, RoutesInstalled, AddressesUsed int64 }
	}
}

// ask has the CLI write JSON, with an exit code that is expected.
func (s *scene) ask(ctx context.Context, role string, code int, into any, args ...string) error {
	out, got, err := s.fairlead(ctx, role, append(args, "-o", "json")...)
	if err != nil {
		return err
	}
	if got != code {
		return fmt.Errorf("fairlead %v: exit code %d, want %d: %s", args, got, code, out)
	}
	return json.Unmarshal([]byte(out), into)
}

// commandAgrees compares what the CLI shows, from the API and from an agent's
// socket, with routers, kernels and pods.
func (s *scene) commandAgrees(t *testing.T) {
	s.eventually(t, "fairlead status", func(ctx context.Context) error {
		var st statusLines
		if err := s.ask(ctx, topology.RoleControlPlane, 0, &st, "status"); err != nil {
			return err
		}
		if !st.Well || len(st.Problems) != 0 || len(st.Pools) != 2 || len(st.Nodes) != 4 {
			return fmt.Errorf("%+v", st)
		}
		for _, n := range st.Nodes {
			routes, err := s.agentRoutes(ctx, n.Name)
			if err != nil {
				return err
			}
			if n.Ready != "True" || n.Report.RoutesInstalled != routes || n.Report.SessionsEstablished != 4 || n.Report.SessionsWanted != 4 {
				return fmt.Errorf("%+v, want %d routes and 4 sessions", n, routes)
			}
		}
		return nil
	})
	for _, from := range []struct {
		role  string
		flags []string
		rows  int // of peers
	}{{topology.RoleControlPlane, nil, 16}, {"n1", s.socketOf("n1"), 4}} {
		s.eventually(t, fmt.Sprintf("fairlead peers in %s", from.role), func(ctx context.Context) error { return s.peersAgree(ctx, from.role, from.flags, from.rows) })
		s.eventually(t, fmt.Sprintf("fairlead blocks in %s", from.role), func(ctx context.Context) error {
			return s.blocksShown(ctx, from.role, from.flags, from.rows/2)
		})
		s.eventually(t, fmt.Sprintf("fairlead nodes in %s", from.role), func(ctx context.Context) error {
			return s.nodesShown(ctx, from.role, from.flags, from.rows/4)
		})
		s.tables(t, from.role, from.flags, from.rows)
	}
	s.eventually(t, "fairlead routes", s.routesAgree)
	s.explained(t)
	out, code, err := s.fairlead(t.Context(), topology.RoleControlPlane, "routes", "--node", "n1")
	if err != nil || code != 2 {
		t.Errorf("fairlead routes without --socket: exit code %d, %v", code, err)
	}
	s.says(t, "fairlead routes without --socket", out, "--socket", "spec.nodeName=n1")
}

// explained asks for an address of a pod on n1, of a block that n3 learns, and of
// nobody.
func (s *scene) explained(t *testing.T) {
	t.Helper()
	for _, f := range s.Topology().Families() {
		pool, block := "pods-v4", s.block(t, "n1", "pods-v4")
		if f == topology.V6 {
			pool, block = "pods-v6", s.block(t, "n1", "pods-v6")
		}
		for _, tc := range []struct {
			role    string
			flags   []string
			address netip.Addr
			code    int
			says    []string
		}{
			{topology.RoleControlPlane, nil, s.a.Address(f), 0, []string{pool, block.String(), "Leased to n1", s.Node("n1").Address(f).String()}},
			{topology.RoleControlPlane, nil, s.Node("n1").Address(f), 1, []string{"no pool has"}},
			{"n1", s.socketOf("n1"), s.a.Address(f), 0, []string{block.String(), "blackhole"}},
			{"n3", s.socketOf("n3"), s.a.Address(f), 0, []string{"route of n3", block.String(), "native", "installed"}},
		} {
			out, code, err := s.fairlead(t.Context(), tc.role, append(tc.flags, "explain", tc.address.String())...)
			if err != nil || code != tc.code {
				t.Errorf("fairlead explain %s in %s: exit code %d, want %d, %v", tc.address, tc.role, code, tc.code, err)
			}
			s.says(t, "fairlead explain", out, tc.says...)
		}
	}
}

func (s *scene) peersAgree(ctx context.Context, role string, flags []string, rows int) error {
	var peers []peerLine
	if err := s.ask(ctx, role, 0, &peers, append(flags, "peers")...); err != nil {
		return err
	}
	if len(peers) != rows {
		return fmt.Errorf("%d rows, want %d", len(peers), rows)
	}
	for _, p := range peers {
		a, err := netip.ParseAddr(p.Address)
		if err != nil {
			return err
		}
		tor := s.Topology().Owners()[a]
		f := topology.FamilyOf(a)
		if p.Peer != lab.PeerName(tor, f) || p.State != lab.Established || p.Advertised != 1 {
			return fmt.Errorf("%+v, want a session with %s", p, tor)
		}
		if err := s.up(ctx, tor, p.Node, f); err != nil {
			return err
		}
		if s.Router(tor).Daemon == topology.FRR {
			seen, err := s.neighbour(ctx, tor, s.Node(p.Node).Address(f))
			if err != nil {
				return err
			}
			if n := seen.Families[f.String()+"Unicast"].Sent; p.Received != n {
				return fmt.Errorf("%+v: the ToR has sent %d", p, n)
			}
		}
	}
	return nil
}

// nodesShown compares the nodes' addresses with those that they were cabled with.
func (s *scene) nodesShown(ctx context.Context, role string, flags []string, rows int) error {
	var nodes []struct {
		Name, Rule, Note string
		Addresses        []netip.Addr
	}
	if err := s.ask(ctx, role, 0, &nodes, append(flags, "nodes")...); err != nil {
		return err
	}
	if len(nodes) != rows {
		return fmt.Errorf("%d rows, want %d", len(nodes), rows)
	}
	for _, n := range nodes {
		var want []netip.Addr
		for _, f := range s.Topology().Families() {
			want = append(want, s.Node(n.Name).Address(f))
		}
		if n.Rule != "InternalIP" || n.Note != "" || !slices.Equal(n.Addresses, want) {
			return fmt.Errorf("%+v, want %v", n, want)
		}
	}
	return nil
}

func (s *scene) blocksShown(ctx context.Context, role string, flags []string, rows int) error {
	var blocks []blockLine
	if err := s.ask(ctx, role, 0, &blocks, append(flags, "blocks")...); err != nil {
		return err
	}
	if len(blocks) != rows {
		return fmt.Errorf("%d rows, want %d", len(blocks), rows)
	}
	for _, b := range blocks {
		cidr, err := netip.ParsePrefix(b.CIDR)
		if err != nil {
			return err
		}
		var used int64
		for _, p := range s.Pods() {
			if slices.ContainsFunc(p.Addresses, cidr.Contains) {
				used++
			}
		}
		if !b.Programmed || !b.Advertised || b.Capacity != 64 || b.Used != used || flags == nil && b.State != "Leased" {
			return fmt.Errorf("%+v, want %d of 64 used", b, used)
		}
		if err := errors.Join(s.hasBlackholes(ctx, b.Node, cidr, cidr), s.everywhere(ctx, cidr, cidr)); err != nil {
			return err
		}
	}
	return nil
}

// routesAgree compares an agent's routes with its kernel's, both ways.
func (s *scene) routesAgree(ctx context.Context) error {
	var routes []view.Route
	if err := s.ask(ctx, "n1", 0, &routes, append(s.socketOf("n1"), "routes")...); err != nil {
		return err
	}
	var shown, there []string
	for _, r := range routes {
		if r.Installed {
			shown = append(shown, fmt.Sprint(r.Prefix, r.NextHops, r.Path))
		}
		if r.Problem != "" || r.Refused || r.Stale || r.Advertised != (r.Origin == "block") {
			return fmt.Errorf("%+v", r)
		}
	}
	for _, f := range s.Topology().Families() {
		kernel, err := s.KernelRoutes(ctx, "n1", f)
		if err != nil {
			return err
		}
		for _, k := range kernel {
			if k.Protocol == lab.AgentProtocol() {
				path := k.Type
				if path != "blackhole" {
					path = "native" // no pool here has an encapsulation
				}
				there = append(there, fmt.Sprint(k.Prefix, k.NextHops, path))
			}
		}
	}
	slices.Sort(shown)
	slices.Sort(there)
	if !slices.Equal(shown, there) {
		return fmt.Errorf("shown %v, in the kernel %v", shown, there)
	}
	return nil
}

// tables have a row for each thing, and the header that people read.
func (s *scene) tables(t *testing.T, role string, flags []string, peers int) {
	t.Helper()
	for _, tc := range []struct {
		command string
		header  []string
		rows    int
	}{
		{"nodes", []string{"NODE", "ADDRESSES", "FOUND BY", "VXLAN"}, peers / 4},
		{"peers", []string{"NODE", "PEER", "STATE", "RECEIVED", "ACCEPTED", "ADVERTISED"}, peers},
		{"blocks", []string{"NODE", "BLOCK", "USED", "PROGRAMMED", "ADVERTISED"}, peers / 2},
	} {
		out, code, err := s.fairlead(t.Context(), role, append(flags, tc.command)...)
		if err != nil || code != 0 {
			t.Errorf("fairlead %s: %d %v %s", tc.command, code, err, out)
		}
		lines := strings.Split(strings.TrimSpace(out), "\n")
		s.says(t, "header of fairlead "+tc.command, lines[0], tc.header...)
		if len(lines) != 1+tc.rows {
			t.Errorf("fairlead %s has %d rows, want %d:\n%s", tc.command, len(lines)-1, tc.rows, out)
		}
	}
	out, code, err := s.fairlead(t.Context(), role, append(flags, "status")...)
	if err != nil || code != 0 {
		t.Errorf("fairlead status: %d %v", code, err)
	}
	s.says(t, "fairlead status", out, "All is well.", "NODES", "n1")
}

// torDown kills a ToR: nodes stay ready, and metrics and CLI say what is missing.
func (s *scene) torDown(t *testing.T) {
	const tor = "r1-tor2"
	if err := s.ready(t.Context(), "n1", 200, "ok"); err != nil {
		t.Error(err)
	}
	s.eventually(t, "metrics", func(ctx context.Context) error { return s.metricsAgree(ctx, 4, 2, 1) })
	if err := s.Router(tor).Kill9(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Router(tor).Restart(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	s.eventually(t, "metrics without a ToR", func(ctx context.Context) error { return s.metricsAgree(ctx, 2, 2, 0) })
	if err := s.ready(t.Context(), "n1", 200, "ok"); err != nil {
		t.Errorf("without a ToR: %v", err)
	}
	s.eventually(t, "fairlead status without a ToR", func(ctx context.Context) error {
		var st statusLines
		if err := s.ask(ctx, topology.RoleControlPlane, 1, &st, "status"); err != nil {
			return err
		}
		var objects []string
		for _, p := range st.Problems {
			objects = append(objects, p.Object+" "+p.Condition)
		}
		for _, want := range []string{"BGPPeer/" + tor + "-ipv4 Established=False", "BGPPeer/" + tor + "-ipv6 Established=False", "NodeState/n1 SessionsEstablished=False", "NodeState/n2 SessionsEstablished=False"} {
			if !slices.Contains(objects, want) {
				return fmt.Errorf("problems %v, want %s", objects, want)
			}
		}
		if len(objects) != 4 || st.Well {
			return fmt.Errorf("problems %v, want those of %s alone", objects, tor)
		}
		return nil
	})
	s.connected(t)
}

// metricsAgree compares n1's metrics with its kernel and its pods.
func (s *scene) metricsAgree(ctx context.Context, established, addresses, sessionsCondition int64) error {
	code, body, err := s.get(ctx, "n1", "127.0.0.1:9470/metrics")
	if err != nil || code != 200 {
		return fmt.Errorf("/metrics: %d, %w", code, err)
	}
	routes, err := s.agentRoutes(ctx, "n1")
	if err != nil {
		return err
	}
	for name, want := range map[string]int64{
		"fairlead_sessions_wanted": 4, "fairlead_sessions_established": established,
		"fairlead_routes_installed": routes, "fairlead_routes_wanted": routes, "fairlead_routes_failed": 0, "fairlead_routes_refused": 0,
		"fairlead_addresses_used": addresses, "fairlead_addresses_capacity": 128, "fairlead_problems": 0, "fairlead_from_snapshot": 0,
		`fairlead_condition{type="Ready"}`: 1, `fairlead_condition{type="SessionsEstablished"}`: sessionsCondition,
	} {
		if line := fmt.Sprintf("\n%s %d\n", name, want); !strings.Contains(body, line) {
			at := strings.Index(body, "\n"+name+" ")
			return fmt.Errorf("no line %q, but %q", line, body[max(at, 0):min(max(at, 0)+60, len(body))])
		}
	}
	return nil
}
