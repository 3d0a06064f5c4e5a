package route

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/routetest"
)

// roll makes random plans and someone else's changes out of few prefixes, next
// hops and metrics, so that they meet often.
type roll struct{ *rand.Rand }

func (r roll) prefix() (prefix string, v6 bool) {
	if i := r.IntN(12); i < 6 {
		return fmt.Sprintf("10.244.%d.0/26", i), false
	}
	return fmt.Sprintf("fd00:%d::/122", r.IntN(6)), true
}

// hop of a prefix: of an IPv4 one sometimes IPv6.
func (r roll) hop(v6 bool) string {
	if v6 || r.IntN(4) == 0 {
		return fmt.Sprintf("2001:db8:%d::%d", 2+r.IntN(2), 11+r.IntN(3))
	}
	return fmt.Sprintf("10.%d.0.%d", 2+r.IntN(2), 11+r.IntN(3))
}

// plan wants each prefix at most once, about half of them.
func (r roll) plan() []dataplane.Route {
	byPrefix := map[string]dataplane.Route{}
	for range 8 {
		prefix, v6 := r.prefix()
		route := routetest.Blackhole(prefix)
		if n := r.IntN(4); n > 0 {
			hops := make([]string, n)
			for i := range hops {
				hops[i] = r.hop(v6)
			}
			route = r.form(routetest.Via(prefix, hops...), v6).Canonical()
		}
		byPrefix[prefix] = route
	}
	var plan []dataplane.Route
	for _, route := range byPrefix {
		plan = append(plan, route)
	}
	dataplane.SortRoutes(plan)
	return plan
}

// form gives a route sometimes a link of its own, a preferred source, both.
func (r roll) form(route dataplane.Route, v6 bool) dataplane.Route {
	if r.IntN(4) == 0 {
		route = routetest.OnLink(routetest.Via(route.Prefix.String(), "fe80::9", "fe80::10"), fmt.Sprintf("eth%d", r.IntN(2)))
	}
	if r.IntN(4) == 0 {
		route = routetest.From(route, map[bool]string{false: "10.2.0.1", true: "2001:db8:2::1"}[v6])
	}
	return route
}

// meddling is a line for ip -batch: a foreign route made or removed, or one of
// ours removed or bent.
func (r roll) meddling() string {
	prefix, v6 := r.prefix()
	hop := r.hop(v6)
	if !v6 && strings.Contains(hop, ":") {
		hop = "inet6 " + hop
	}
	metric := []int{3, 1700, 1700, 3000}[r.IntN(4)]
	switch r.IntN(6) {
	case 5:
		return fmt.Sprintf("route prepend %s via %s dev eth0 onlink proto 170 metric %d", prefix, hop, metric)
	case 0:
		return fmt.Sprintf("route add %s via %s proto static metric %d", prefix, hop, metric)
	case 1:
		return fmt.Sprintf("route del %s proto static metric %d", prefix, metric)
	case 2:
		return fmt.Sprintf("route del %s proto 170 metric %d", prefix, metric)
	case 3:
		return fmt.Sprintf("route add %s via %s proto 170 metric %d", prefix, hop, metric)
	default:
		return fmt.Sprintf("route prepend blackhole %s proto 170 metric %d", prefix, metric)
	}
}

// meddle does n random things, of which those that cannot be done are passed over.
func (n *node) meddle(r roll, count int) {
	n.t.Helper()
	var lines strings.Builder
	for range count {
		fmt.Fprintln(&lines, r.meddling())
	}
	batch := filepath.Join(n.t.TempDir(), "batch")
	if err := os.WriteFile(batch, []byte(lines.String()), 0o600); err != nil {
		n.t.Fatal(err)
	}
	n.Run(n.t, "sh", "-c", "ip -force -batch "+batch+" 2>/dev/null || true")
}

// Whatever is wanted and whatever others do in between: theirs stays as it was;
// ours is there exactly, except where theirs is in the way; and the Result says
// just that.
func TestRandomPlansAmongForeignRoutes(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			n, r := newNode(t), roll{rand.New(rand.NewPCG(seed, 1))}
			for step := range 40 {
				n.meddle(r, r.IntN(5))
				theirs, plan := n.ours("proto", "static"), r.plan()
				res := n.apply(true, plan...)
				if diff := cmp.Diff(theirs, n.ours("proto", "static")); diff != "" {
					t.Fatalf("step %d: foreign routes (-before +after):\n%s", step, diff)
				}
				n.wantExactly(plan, res, theirs)
				if t.Failed() {
					t.Fatalf("step %d", step)
				}
			}
		})
	}
}

// wantExactly compares plan and result with what iproute2 reads.
func (n *node) wantExactly(plan []dataplane.Route, res dataplane.Result, theirs []string) {
	n.t.Helper()
	blocked := map[string]int{} // the lowest metric of theirs, by prefix
	for _, line := range theirs {
		prefix, rest, _ := strings.Cut(line, " ")
		var metric int
		if i := strings.Index(rest, "metric "); i >= 0 {
			if _, err := fmt.Sscanf(rest[i:], "metric %d", &metric); err != nil {
				n.t.Fatalf("%q: %v", line, err)
			}
		}
		if old, ok := blocked[prefix]; (!ok || metric < old) && metric <= 1700 {
			blocked[prefix] = metric
		}
	}
	kernel := map[string]string{}
	for _, line := range n.kernel("170") {
		prefix, _, _ := strings.Cut(strings.TrimPrefix(line, "blackhole "), " ")
		if kernel[prefix] != "" {
			kernel[prefix] += " AND "
		}
		kernel[prefix] += line
	}
	for _, r := range plan {
		prefix := r.Prefix.String()
		_, foreign := blocked[prefix]
		if failed := res.Failed[r.Prefix]; (failed != nil) != foreign || res.Holds(r.Prefix) == foreign {
			n.t.Errorf("%s: failed with %v, while theirs is in the way: %v", r, failed, foreign)
		}
		if !foreign {
			if !looksLike(kernel[prefix], r) {
				n.t.Errorf("%s: the kernel has %q", r, kernel[prefix])
			}
		}
		delete(kernel, prefix)
	}
	if len(kernel) != 0 {
		n.t.Errorf("not wanted, and there: %v", kernel)
	}
}

// looksLike says that a line of ip(8) tells r and nothing more.
func looksLike(line string, r dataplane.Route) bool {
	ok := strings.Count(line, "via ") == len(r.NextHops) && strings.Count(line, "metric 1700") == 1 &&
		strings.HasPrefix(line, "blackhole ") == (r.Kind == dataplane.Blackhole) &&
		strings.Count(line, r.Prefix.String()) == 1 && strings.Contains(line, " src ") == r.Source.IsValid()
	if r.Source.IsValid() {
		ok = ok && strings.Contains(line, " src "+r.Source.String()+" ")
	}
	if r.Link == "" {
		ok = ok && !strings.Contains(line, "onlink")
	} else {
		ok = ok && strings.Count(line, " dev "+r.Link) == len(r.NextHops) && strings.Count(line, "onlink") == len(r.NextHops)
	}
	for _, hop := range r.NextHops {
		words := "via " + hop.String() + " "
		if hop.Is6() && r.Prefix.Addr().Is4() {
			words = "via inet6 " + hop.String() + " "
		}
		ok = ok && strings.Contains(line, words)
	}
	return ok
}

// More than a batch, a dump's datagram and a socket's buffer hold.
func TestTenThousandRoutes(t *testing.T) {
	n := newNode(t)
	var want []dataplane.Route
	for i := range 5000 {
		want = append(want,
			dataplane.Route{
				Prefix:   netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 100 + byte(i>>8), byte(i), 0}), 26),
				NextHops: []netip.Addr{netip.MustParseAddr("10.2.0.11"), netip.MustParseAddr("10.3.0.11")},
			},
			dataplane.Route{
				Prefix:   netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfd, 4: byte(i >> 8), 5: byte(i)}), 122),
				NextHops: []netip.Addr{netip.MustParseAddr("2001:db8:2::11")},
			})
	}
	dataplane.SortRoutes(want)
	n.install(want...)
	if got := len(n.kernel("170")); got != len(want) {
		t.Errorf("the kernel has %d routes, want %d", got, len(want))
	}
	for i := range want { // replace all of them, and one in ten cannot be
		hop := want[i].NextHops[0].Next()
		if i%10 == 0 {
			hop = netip.MustParseAddr(map[bool]string{true: "192.0.2.1", false: "2001:db8:9::1"}[hop.Is4()])
		}
		want[i].NextHops = []netip.Addr{hop}
	}
	res := n.apply(true, want...)
	if len(res.Failed) != len(want)/10 || len(res.Surplus) != 0 {
		t.Errorf("%d failed and %d surplus, want %d and none", len(res.Failed), len(res.Surplus), len(want)/10)
	}
	for i, r := range want {
		if (res.Failed[r.Prefix] != nil) != (i%10 == 0) {
			t.Fatalf("%s: %v", r, res.Failed[r.Prefix])
		}
	}
	n.install()
	n.wantKernel()
}
