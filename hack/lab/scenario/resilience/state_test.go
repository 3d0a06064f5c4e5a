package resilience

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/cniplugin/rundir"
	"fairlead.dev/cniplugin/store"
	"fairlead.dev/hack/lab"
)

// state is all that must be the same again after a disturbance, a line each,
// sorted: blocks in the API, paths on the routers, routes in the kernels of
// routers and nodes, and, with pods, the addresses that nodes gave out.
func (s *scene) state(ctx context.Context, pods bool) ([]string, error) {
	var lines []string
	parts := []func(context.Context) ([]string, error){s.blockLines, s.ribLines, s.kernelLines}
	if pods {
		parts = append(parts, s.podLines)
	}
	for _, part := range parts {
		more, err := part(ctx)
		if err != nil {
			return nil, err
		}
		lines = append(lines, more...)
	}
	slices.Sort(lines)
	return lines, nil
}

// settled is the state of a converged lab.
func (s *scene) settled(t *testing.T, pods bool) []string {
	t.Helper()
	if err := s.WaitConverged(t.Context()); err != nil {
		t.Fatal(err)
	}
	lines, err := s.state(t.Context(), pods)
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// returns waits until the state is what it was, and says how long that took.
func (s *scene) returns(t *testing.T, want []string, pods bool) time.Duration {
	t.Helper()
	return s.eventually(t, bound, "same state as before", func(ctx context.Context) error {
		got, err := s.state(ctx, pods)
		if err != nil {
			return err
		}
		if d := gocmp.Diff(want, got); d != "" {
			return fmt.Errorf("(-want +got):\n%s", d)
		}
		return s.WaitConverged(ctx) // sessions too
	})
}

func (s *scene) blockLines(ctx context.Context) ([]string, error) {
	var list v1alpha1.IPBlockList
	if err := s.Client().List(ctx, &list); err != nil {
		return nil, fmt.Errorf("list blocks: %w", err)
	}
	var lines []string
	for _, b := range list.Items {
		if b.Spec.NodeName == probe {
			continue
		}
		lines = append(lines, fmt.Sprintf("block %s: %s %s of %s", b.Spec.CIDR, b.Spec.State, b.Spec.NodeName, b.Spec.PoolName))
	}
	return lines, nil
}

func (s *scene) ribLines(ctx context.Context) ([]string, error) {
	var lines []string
	for _, r := range s.Routers() {
		for _, f := range families() {
			routes, err := r.Routes(ctx, f)
			if err != nil {
				return nil, err
			}
			for _, route := range routes {
				for _, p := range route.Paths {
					lines = append(lines, fmt.Sprintf("RIB of %s: %s by %s, path %v, stale %v", r.Name, route.Prefix, p.NextHop, p.ASPath, p.Stale))
				}
			}
		}
	}
	return lines, nil
}

// kernelLines are the agents' routes on nodes and the daemons' on routers. FRR is
// free to choose between a neighbour's IPv6 addresses, and after a restart of the
// neighbour it may choose another: a router's next hops are named by who has them.
func (s *scene) kernelLines(ctx context.Context) ([]string, error) {
	makers := map[string][]string{}
	for _, n := range s.Nodes() {
		makers[n.Name] = []string{lab.AgentProtocol()}
	}
	lines, err := s.routeLines(ctx, makers, netip.Addr.String)
	if err != nil {
		return nil, err
	}
	owners, err := s.owners(ctx)
	if err != nil {
		return nil, err
	}
	makers = map[string][]string{}
	for _, r := range s.Routers() {
		makers[r.Name] = []string{"bgp", "bird"}
	}
	more, err := s.routeLines(ctx, makers, func(a netip.Addr) string { return cmp.Or(owners[a], a.String()) })
	return append(lines, more...), err
}

// owners are the roles by their addresses, link-local ones too.
func (s *scene) owners(ctx context.Context) (map[netip.Addr]string, error) {
	owners := s.Topology().Owners()
	for _, role := range s.others() {
		out, err := s.Exec(ctx, role, "ip", "-j", "-6", "addr", "show", "scope", "link")
		if err != nil {
			return nil, err
		}
		var links []struct {
			Addresses []struct {
				Local netip.Addr `json:"local"`
			} `json:"addr_info"`
		}
		if err := json.Unmarshal([]byte(out), &links); err != nil {
			return nil, fmt.Errorf("link-local addresses of %s: %w", role, err)
		}
		for _, l := range links {
			for _, a := range l.Addresses {
				owners[a.Local] = role
			}
		}
	}
	return owners, nil
}

func (s *scene) routeLines(ctx context.Context, makers map[string][]string, hop func(netip.Addr) string) ([]string, error) {
	var lines []string
	for role, protocols := range makers {
		for _, f := range families() {
			routes, err := s.KernelRoutes(ctx, role, f)
			if err != nil {
				return nil, err
			}
			for _, k := range routes {
				if !slices.Contains(protocols, k.Protocol) {
					continue
				}
				var hops []string
				for _, a := range k.NextHops {
					hops = append(hops, hop(a))
				}
				lines = append(lines, fmt.Sprintf("kernel of %s: %s %s by %v %s", role, k.Type, k.Prefix, sorted(hops), k.Protocol))
			}
		}
	}
	return lines, nil
}

func (s *scene) podLines(ctx context.Context) ([]string, error) {
	makers := map[string][]string{}
	var lines []string
	for _, n := range s.Nodes() {
		makers[n.Name] = []string{lab.PluginProtocol()}
		st, err := readStore(n)
		if err != nil {
			return nil, err
		}
		for _, l := range st.Leases {
			lines = append(lines, fmt.Sprintf("store of %s: lease %s %s closed %v", n.Name, l.CIDR, l.Pool, l.Closed))
		}
		for _, a := range st.Allocations {
			lines = append(lines, fmt.Sprintf("store of %s: %s is %s", n.Name, a.Address, a.HostVeth))
		}
	}
	more, err := s.routeLines(ctx, makers, netip.Addr.String)
	return append(lines, more...), err
}

func readStore(n *lab.Node) (store.State, error) {
	var st store.State
	data, err := os.ReadFile(filepath.Join(storeDir(n), "state.json"))
	if err != nil {
		return st, fmt.Errorf("store of %s: %w", n.Name, err)
	}
	if err := json.Unmarshal(data, &st); err != nil {
		return st, fmt.Errorf("store of %s: %w", n.Name, err)
	}
	return st, nil
}

func storeDir(n *lab.Node) string { return filepath.Join(n.RunDir(), rundir.Store) }

// only are the lines that hold a text.
func only(lines []string, text string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return !strings.Contains(l, text) })
}

func sorted(lines []string) []string {
	slices.Sort(lines)
	return lines
}
