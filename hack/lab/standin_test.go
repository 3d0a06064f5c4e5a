package lab

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"fairlead.dev/hack/lab/topology"
)

// standIn is a BIRD that speaks BGP on a node in an agent's place, so that the
// routers' half of the lab is proven without the agent.
const standIn = `log stderr all;
router id %[1]s;
graceful restart wait 5;
protocol device { scan time 1; }
protocol static { ipv4; route %[2]s blackhole; route 10.99.0.0/24 blackhole; }
protocol static { ipv6; route %[3]s blackhole; route fd00:99::/64 blackhole; }
template bgp tor {
	hold time 9; keepalive time 3; connect delay time 1; connect retry time 1; error wait time 1, 2;
	graceful restart on; graceful restart time 60; allow local as 1;
}
`

const standInSession = `protocol bgp t%[1]d_%[2]d from tor {
	local %[3]s as %[4]d; neighbor %[5]s as %[6]d; %[7]s
	%[8]s { import all; export where source = RTS_STATIC; next hop self; };
}
`

// foreign prefixes are announced by every stand-in too, and are nobody's pods.
var foreign = []string{"10.99.0.0/24", "fd00:99::/64"}

type announcer struct {
	lab     *Lab
	process *Process
	dir     string
	blocks  topology.Pair
}

// rib reads what the stand-in has learned.
func (a announcer) rib() *Router {
	return &Router{Router: topology.Router{Name: a.process.Name, Daemon: topology.BIRD}, lab: a.lab, dir: a.dir}
}

func startAnnouncer(t *testing.T, l *Lab, node string) announcer {
	t.Helper()
	topo := l.Topology()
	rack, n, err := topo.Node(node)
	if err != nil {
		t.Fatal(err)
	}
	a := announcer{lab: l, dir: t.TempDir(), blocks: topology.Pair{
		V4: netip.MustParsePrefix(fmt.Sprintf("10.244.%d.0/26", n.Number)),
		V6: netip.MustParsePrefix(fmt.Sprintf("fd00:10:244::%x00/122", n.Number)),
	}}
	conf := fmt.Sprintf(standIn, rack.NodeAddress(topology.V4, n), a.blocks.V4, a.blocks.V6)
	for _, f := range topo.Families() {
		for i, tor := range rack.ToRs {
			extra := ""
			if tor.Password != "" {
				extra = `password "` + tor.Password + `";`
			}
			if tor.DialsNodes {
				extra += " passive on;"
			}
			conf += fmt.Sprintf(standInSession, i, f, rack.NodeAddress(f, n), rack.NodeASN, rack.ToRAddress(f, i), rack.ToRASN, extra, f)
		}
	}
	if err := os.WriteFile(a.dir+"/bird.conf", []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	a.process, err = l.processes.start(node+"-standin", nil,
		enter(l.NSName(node), "bird", "-f", "-R", "-c", a.dir+"/bird.conf", "-s", a.dir+"/bird.ctl")...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestRoutersServeNodes proves what the routers promise to nodes: any node of the
// subnet may connect, a segment's own next hops stay, blocks reach everywhere,
// what is not a pod's prefix is refused, and a killed speaker's routes are held.
func TestRoutersServeNodes(t *testing.T) {
	topo := topology.Default()
	topo.Racks[0].ToRs[0].Password = "by-range-frr"
	topo.Racks[0].ToRs[1].Password = "by-range-bird"
	topo.Racks[1].ToRs[0].Password, topo.Racks[1].ToRs[0].DialsNodes = "dialled-by-frr", true
	topo.Racks[1].ToRs[1].Password, topo.Racks[1].ToRs[1].DialsNodes = "dialled-by-bird", true
	l := upNetwork(t, topo)
	n1, n2, n3 := startAnnouncer(t, l, "n1"), startAnnouncer(t, l, "n2"), startAnnouncer(t, l, "n3")
	waitBlocks(t, l, l.Routers(), n1, n2, n3)
	waitBlocks(t, l, []*Router{n2.rib(), n3.rib()}, n1)
	waitBlocks(t, l, []*Router{n1.rib(), n2.rib()}, n3)
	t.Run("the segment's own next hop stays", func(t *testing.T) {
		for _, f := range topo.Families() {
			want := []netip.Addr{l.Node("n1").Address(f)}
			for _, r := range []*Router{l.Router("r1-tor1"), l.Router("r1-tor2"), n2.rib()} {
				assertNextHops(t, r, n1.blocks.Of(f), want)
			}
		}
	})
	t.Run("another rack's blocks are behind both ToRs", func(t *testing.T) {
		rack := topo.Racks[0]
		for _, f := range topo.Families() {
			assertNextHops(t, n1.rib(), n3.blocks.Of(f), []netip.Addr{rack.ToRAddress(f, 0), rack.ToRAddress(f, 1)})
		}
	})
	t.Run("what is no pod's is refused", func(t *testing.T) {
		for _, r := range l.Routers() {
			for _, p := range foreign {
				if route, err := r.Route(t.Context(), netip.MustParsePrefix(p)); err != nil || len(route.Paths) != 0 {
					t.Errorf("%s holds %s: %v, %v", r.Name, p, route, err)
				}
			}
		}
	})
	t.Run("killed speaker's routes are held", func(t *testing.T) {
		if err := n1.process.Kill9(t.Context()); err != nil {
			t.Fatal(err)
		}
		assertHeld(t, l, n1)
		if err := n1.process.Start(); err != nil {
			t.Fatal(err)
		}
		assertHeld(t, l, n1)
	})
}

func assertNextHops(t *testing.T, r *Router, p netip.Prefix, want []netip.Addr) {
	t.Helper()
	route, err := r.Route(t.Context(), p)
	if err != nil || !slices.Equal(route.NextHops(), want) {
		t.Errorf("%s reaches %s by %v, %v; want %v", r.Name, p, route.NextHops(), err, want)
	}
}

func waitBlocks(t *testing.T, l *Lab, on []*Router, of ...announcer) {
	t.Helper()
	err := poll(t.Context(), 30*time.Second, pollInterval, "blocks on all routers", func(ctx context.Context) error {
		for _, a := range of {
			for _, f := range l.Topology().Families() {
				for _, r := range on {
					if err := r.holds(ctx, f, []netip.Prefix{a.blocks.Of(f)}); err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		for _, r := range l.Routers() {
			s, _ := r.Sessions(t.Context())
			t.Logf("%s: %v", r.Name, s)
		}
		for _, p := range l.Processes() {
			t.Logf("%s:\n%s", p.Name, p.Tail())
		}
		t.Fatal(err)
	}
}

// assertHeld watches for 3 s that no router lets go of the blocks.
func assertHeld(t *testing.T, l *Lab, a announcer) {
	t.Helper()
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); {
		for _, f := range l.Topology().Families() {
			for _, r := range l.Routers() {
				if err := r.holds(t.Context(), f, []netip.Prefix{a.blocks.Of(f)}); err != nil {
					s, _ := r.Sessions(t.Context())
					t.Logf("%s: %v", r.Name, s)
					t.Fatal(err)
				}
			}
		}
	}
}
