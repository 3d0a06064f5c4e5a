package behaviour

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/topology"
)

// frrNeighbour is what an FRR router says of a neighbour.
type frrNeighbour struct {
	RemoteAS  int64  `json:"remoteAs"`
	RouterID  string `json:"remoteRouterId"`
	State     string `json:"bgpState"`
	UpMsec    int64  `json:"bgpTimerUpMsec"`
	HoldMsec  int64  `json:"bgpTimerHoldTimeMsecs"`
	PortLocal int    `json:"portLocal"`
	// PortForeign is the neighbour's: where it dials, each connection has another.
	PortForeign  int `json:"portForeign"`
	Dropped      int `json:"connectionsDropped"`
	MessageStats struct {
		KeepalivesReceived int64 `json:"keepalivesRecv"`
	} `json:"messageStats"`
	Restart struct {
		Timers struct {
			Received int64 `json:"receivedRestartTimer"`
		} `json:"timers"`
	} `json:"gracefulRestartInfo"`
	Families map[string]struct {
		Accepted int64 `json:"acceptedPrefixCounter"`
		Sent     int64 `json:"sentPrefixCounter"`
	} `json:"addressFamilyInfo"`
}

func (n frrNeighbour) established() error {
	if n.State != lab.Established {
		return fmt.Errorf("session is %q", n.State)
	}
	return nil
}

// neighbour asks an FRR router for a neighbour; one that it does not know has no state.
func (s *scene) neighbour(ctx context.Context, router string, a netip.Addr) (frrNeighbour, error) {
	out, err := s.Router(router).Vtysh(ctx, fmt.Sprintf("show bgp neighbors %s json", a))
	if err != nil {
		return frrNeighbour{}, err
	}
	if strings.Contains(out, "bgpNoSuchNeighbor") {
		return frrNeighbour{}, nil
	}
	var of map[string]frrNeighbour
	if err := json.Unmarshal([]byte(out), &of); err != nil {
		return frrNeighbour{}, fmt.Errorf("neighbour %s of %s: %w", a, router, err)
	}
	return of[a.String()], nil
}

// sent are the prefixes that an FRR router sends to a neighbour.
func (s *scene) sent(ctx context.Context, router string, a netip.Addr) ([]netip.Prefix, error) {
	out, err := s.Router(router).Vtysh(ctx, fmt.Sprintf("show bgp %s unicast neighbors %s advertised-routes json", topology.FamilyOf(a), a))
	if err != nil {
		return nil, err
	}
	var table struct {
		Routes map[string]json.RawMessage `json:"advertisedRoutes"`
	}
	if err := json.Unmarshal([]byte(out), &table); err != nil {
		return nil, fmt.Errorf("routes from %s to %s: %w", router, a, err)
	}
	var prefixes []netip.Prefix
	for text := range table.Routes {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("routes from %s to %s: %w", router, a, err)
		}
		prefixes = append(prefixes, p)
	}
	return prefixes, nil
}

// session is a router's session with a node, its state "" if it knows none.
func (s *scene) session(ctx context.Context, router, node string, f topology.Family) (lab.Session, error) {
	sessions, err := s.Router(router).Sessions(ctx)
	if err != nil {
		return lab.Session{}, err
	}
	for _, session := range sessions {
		if session.Neighbour == s.Node(node).Address(f) {
			return session, nil
		}
	}
	return lab.Session{}, nil
}

// up is nil while a router has a session with the node.
func (s *scene) up(ctx context.Context, router, node string, f topology.Family) error {
	session, err := s.session(ctx, router, node, f)
	if err == nil && session.State != lab.Established {
		err = fmt.Errorf("%s: %s session with %s is %q", router, f, node, session.State)
	}
	return err
}

// down is nil while a router has none.
func (s *scene) down(ctx context.Context, router, node string, f topology.Family) error {
	session, err := s.session(ctx, router, node, f)
	if err == nil && session.State == lab.Established {
		err = fmt.Errorf("%s: %s session with %s is established", router, f, node)
	}
	return err
}

// announced are the prefixes inside a range that a router has, by anybody.
func (s *scene) announced(ctx context.Context, router string, inside netip.Prefix) ([]netip.Prefix, error) {
	routes, err := s.Router(router).Routes(ctx, topology.FamilyOf(inside.Addr()))
	if err != nil {
		return nil, err
	}
	var prefixes []netip.Prefix
	for _, r := range routes {
		if inside.Overlaps(r.Prefix) && inside.Bits() <= r.Prefix.Bits() {
			prefixes = append(prefixes, r.Prefix)
		}
	}
	return prefixes, nil
}

// everywhere is nil while all routers have exactly these prefixes inside a range.
func (s *scene) everywhere(ctx context.Context, inside netip.Prefix, want ...netip.Prefix) error {
	slices.SortFunc(want, netip.Prefix.Compare)
	for _, r := range s.Routers() {
		got, err := s.announced(ctx, r.Name, inside)
		if err != nil {
			return err
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("RIB of %s inside %s: %v, want %v", r.Name, inside, got, want)
		}
	}
	return nil
}

// blackholes are those inside a range in a node's kernel.
func (s *scene) blackholes(ctx context.Context, node string, inside netip.Prefix) ([]netip.Prefix, error) {
	routes, err := s.KernelRoutes(ctx, node, topology.FamilyOf(inside.Addr()))
	if err != nil {
		return nil, err
	}
	var prefixes []netip.Prefix
	for _, r := range routes {
		if r.Type == "blackhole" && r.Protocol == lab.AgentProtocol() && inside.Contains(r.Prefix.Addr()) {
			prefixes = append(prefixes, r.Prefix)
		}
	}
	return prefixes, nil
}

// hasBlackholes is nil while these are all inside a range.
func (s *scene) hasBlackholes(ctx context.Context, node string, inside netip.Prefix, want ...netip.Prefix) error {
	got, err := s.blackholes(ctx, node, inside)
	if err == nil && !slices.Equal(got, want) {
		err = fmt.Errorf("kernel of %s inside %s: blackholes %v, want %v", node, inside, got, want)
	}
	return err
}

// agentRoutes counts the agent's routes in a node's kernel.
func (s *scene) agentRoutes(ctx context.Context, node string) (int64, error) {
	var n int64
	for _, f := range s.Topology().Families() {
		routes, err := s.KernelRoutes(ctx, node, f)
		if err != nil {
			return 0, err
		}
		for _, r := range routes {
			if r.Protocol == lab.AgentProtocol() {
				n++
			}
		}
	}
	return n, nil
}

// get asks a HTTP server inside a node's namespace and returns status and body.
func (s *scene) get(ctx context.Context, node, url string) (int, string, error) {
	out, err := s.Node(node).Exec(ctx, "curl", "-sS", "--max-time", "5", "-w", "\n%{http_code}", "http://"+url)
	if err != nil {
		return 0, "", err
	}
	i := strings.LastIndexByte(out, '\n')
	code, err := strconv.Atoi(out[i+1:])
	return code, out[:i], err
}

// ready is nil while /readyz of a node's agent answers with this code and text.
func (s *scene) ready(ctx context.Context, node string, code int, text string) error {
	got, body, err := s.get(ctx, node, "127.0.0.1:9471/readyz")
	if err == nil && (got != code || !strings.Contains(body, text)) {
		err = fmt.Errorf("/readyz of %s: %d %s, want %d with %q", node, got, body, code, text)
	}
	return err
}

// counter counts new connections to BGP speakers, by the kernel of a node.
type counter struct {
	s    *scene
	node string
}

// countDials counts in a node's namespace, until the end of the test, the first
// packets of connections to port 179: "out" is what the node dials, "in" what
// dials it, and one more for each address that the node may dial.
func (s *scene) countDials(t *testing.T, node string, to ...netip.Addr) counter {
	t.Helper()
	const first = "tcp dport 179 tcp flags & (syn | ack) == syn"
	script := "table inet watch { "
	names := []string{"out", "in"}
	rules := first + " counter name out; "
	for _, a := range to {
		names = append(names, counterName(a))
		rules += fmt.Sprintf("ip%s daddr %s %s counter name %s; ", map[bool]string{true: "", false: "6"}[a.Is4()], a, first, counterName(a))
	}
	for _, n := range names {
		script += "counter " + n + " { }; "
	}
	script += "chain out { type filter hook output priority 0; " + rules + "}; chain in { type filter hook input priority 0; " + first + " counter name in; }; }"
	if _, err := s.Node(node).Exec(t.Context(), "nft", script); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := s.Node(node).Exec(context.WithoutCancel(t.Context()), "nft", "delete table inet watch"); err != nil {
			t.Error(err)
		}
	})
	return counter{s, node}
}

func counterName(a netip.Addr) string {
	return "to_" + strings.NewReplacer(".", "_", ":", "_").Replace(a.String())
}

func (c counter) packets(ctx context.Context, name string) (int64, error) {
	out, err := c.s.Node(c.node).Exec(ctx, "nft", "-j", "list counter inet watch "+name)
	if err != nil {
		return 0, err
	}
	var list struct {
		Items []struct {
			Counter *struct {
				Packets int64 `json:"packets"`
			} `json:"counter"`
		} `json:"nftables"`
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return 0, fmt.Errorf("counter %s on %s: %w", name, c.node, err)
	}
	for _, i := range list.Items {
		if i.Counter != nil {
			return i.Counter.Packets, nil
		}
	}
	return 0, fmt.Errorf("counter %s on %s: none", name, c.node)
}
