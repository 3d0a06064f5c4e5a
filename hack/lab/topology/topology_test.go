package topology

import (
	"flag"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got), -update rewrites it:\n%s", name, d)
	}
}

func bare(role string) string { return "fl-x-" + role }

func TestWiring(t *testing.T) {
	golden(t, "default.wiring", Default().Wiring(bare).String())
}

// withOutside is the default topology with a host behind the spines.
func withOutside() Topology {
	topo := Default()
	topo.Outside = Pair{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("fd00:198:51:100::/64")}
	return topo
}

func TestOutside(t *testing.T) {
	topo := withOutside()
	w := topo.Wiring(bare)
	if d := cmp.Diff([]string{
		"link set lo up",
		"addr add 198.51.100.10/24 dev eth0",
		"addr add fd00:198:51:100::a/64 dev eth0 nodad",
		"link set eth0 up",
		"route add 172.16.1.0/24 nexthop via 198.51.100.1 dev eth0 nexthop via 198.51.100.2 dev eth0",
		"route add fd00:172:16:1::/64 nexthop via fd00:198:51:100::1 dev eth0 nexthop via fd00:198:51:100::2 dev eth0",
		"route add 172.16.2.0/24 nexthop via 198.51.100.1 dev eth0 nexthop via 198.51.100.2 dev eth0",
		"route add fd00:172:16:2::/64 nexthop via fd00:198:51:100::1 dev eth0 nexthop via fd00:198:51:100::2 dev eth0",
	}, w.Inside[RoleOutside]); d != "" {
		t.Errorf("inside the outside host (-want +got):\n%s", d)
	}
	for spine, want := range map[string]string{"s1": "match interface outside", "s2": `interface "outside"`} {
		files, err := topo.Render(spine)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(files["bgpd.conf"]+files["bird.conf"], want) {
			t.Errorf("%s does not announce its segment: no %q", spine, want)
		}
	}
	if got := topo.Only(V6).OutsideAddress(V4); got.IsValid() {
		t.Errorf("IPv4 address of an outside without IPv4: %s", got)
	}
}

func TestNodeWiringIsPartOfTheWhole(t *testing.T) {
	topo, err := Default().WithNode("r2", "n5")
	if err != nil {
		t.Fatal(err)
	}
	whole := topo.Wiring(bare)
	part, err := topo.NodeWiring("n5", bare)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range part.Links {
		if !slices.Contains(whole.Links, l) {
			t.Errorf("link %q is not part of the whole", l)
		}
	}
	if d := cmp.Diff(whole.Inside["n5"], part.Inside["n5"]); d != "" {
		t.Errorf("inside n5 (-whole +part):\n%s", d)
	}
	if got := slices.Sorted(maps.Keys(part.Inside)); !slices.Equal(got, []string{"n5", RoleSwitch}) {
		t.Errorf("a node's wiring touches %v", got)
	}
	before := Default().Wiring(bare)
	for _, l := range before.Links {
		if !slices.Contains(whole.Links, l) {
			t.Errorf("adding a node moved the link %q", l)
		}
	}
}

func TestRender(t *testing.T) {
	secured := Default()
	secured.Racks[1].ToRs[0].Password = "frr-secret"
	secured.Racks[1].ToRs[1].Password = "bird-secret"
	secured.Racks[1].ToRs[0].DialsNodes = true
	secured.Racks[1].ToRs[1].DialsNodes = true
	for _, tc := range []struct {
		name   string
		topo   Topology
		router string
	}{
		{"tor", Default(), "r1-tor1"},
		{"tor", Default(), "r1-tor2"},
		{"secured", secured, "r2-tor1"},
		{"secured", secured, "r2-tor2"},
		{"spine", Default(), "s1"},
		{"spine", Default(), "s2"},
		{"v6-tor", Default().Only(V6), "r1-tor1"},
		{"v6-tor", Default().Only(V6), "r1-tor2"},
	} {
		files, err := tc.topo.Render(tc.router)
		if err != nil {
			t.Fatal(err)
		}
		for file, text := range files {
			golden(t, tc.name+"-"+file, text)
		}
	}
}

func TestRenderUnknownRouter(t *testing.T) {
	if _, err := Default().Render("n1"); err == nil || !strings.Contains(err.Error(), `"n1"`) {
		t.Errorf("Render of a node: %v, want an error that names it", err)
	}
}

func TestAddressesAreUnique(t *testing.T) {
	topo := Default()
	for _, name := range []string{"n5", "n6", "n7"} {
		var err error
		if topo, err = topo.WithNode("r1", name); err != nil {
			t.Fatal(err)
		}
	}
	owner := map[netip.Addr]string{}
	claim := func(a netip.Addr, who string) {
		if !a.IsValid() || owner[a] != "" {
			t.Errorf("%s of %s is also of %q", a, who, owner[a])
		}
		owner[a] = who
	}
	claim(topo.ControlPlane(), "cp")
	for _, r := range topo.Racks {
		for _, f := range topo.Families() {
			for i, tor := range r.ToRs {
				claim(r.ToRAddress(f, i), tor.Name)
			}
			for _, n := range r.Nodes {
				claim(r.NodeAddress(f, n), n.Name)
			}
		}
		for _, n := range r.Nodes {
			claim(topo.NodeManagement(n), n.Name+" management")
		}
	}
	for _, l := range topo.Links() {
		for _, f := range topo.Families() {
			claim(l.SpineEnd.Of(f).Addr(), l.Spine.Name+" to "+l.ToR.Name)
			claim(l.ToREnd.Of(f).Addr(), l.ToR.Name+" to "+l.Spine.Name)
			if l.SpineEnd.Of(f).Masked() != l.ToREnd.Of(f).Masked() {
				t.Errorf("the ends %v and %v are not on one link", l.SpineEnd, l.ToREnd)
			}
		}
	}
	for _, r := range topo.Routers() {
		claim(topo.RouterID(r.Name), r.Name+" router ID")
	}
}

func TestOnly(t *testing.T) {
	for f, want := range map[Family]string{V4: "pods-v4", V6: "pods-v6"} {
		topo := Default().Only(f)
		if d := cmp.Diff([]Family{f}, topo.Families()); d != "" {
			t.Errorf("families (-want +got):\n%s", d)
		}
		if len(topo.Pools) != 1 || topo.Pools[0].Name != want {
			t.Errorf("pools of %v: %v", f, topo.Pools)
		}
	}
	if len(Default().Pools) != 2 {
		t.Error("Only changed what Default returns")
	}
}

func TestNodesComeAndGo(t *testing.T) {
	topo, err := Default().WithNode("r1", "n9")
	if err != nil {
		t.Fatal(err)
	}
	rack, n, err := topo.Node("n9")
	if err != nil || rack.Name != "r1" || n.Number != 5 {
		t.Errorf("n9 is number %d of %s, %v; want 5 of r1", n.Number, rack.Name, err)
	}
	if _, err := topo.WithNode("r1", "n9"); err == nil {
		t.Error("a second n9 was accepted")
	}
	if _, err := topo.WithNode("r9", "n10"); err == nil {
		t.Error("a node of rack r9 was accepted")
	}
	if _, _, err := topo.WithoutNode("n9").Node("n9"); err == nil {
		t.Error("n9 is still there")
	}
}

func TestValidate(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil func(*Topology)
		want  string
	}{
		"long name":       {func(t *Topology) { t.Spines[0].Name = "spine-number-one" }, `"spine-number-one"`},
		"upper case":      {func(t *Topology) { t.Racks[0].Nodes[0].Name = "N1" }, `"N1"`},
		"taken name":      {func(t *Topology) { t.Racks[0].Nodes[0].Name = "r1-tor1" }, `"r1-tor1"`},
		"reserved host":   {func(t *Topology) { t.Racks[0].Nodes[0].Name = "out" }, `"out"`},
		"reserved name":   {func(t *Topology) { t.Racks[0].Name = "sw" }, `"sw"`},
		"taken number":    {func(t *Topology) { t.Racks[0].Nodes[0].Number = 4 }, "number 4"},
		"no number":       {func(t *Topology) { t.Racks[0].Nodes[0].Number = 0 }, "number 0"},
		"unknown daemon":  {func(t *Topology) { t.Spines[1].Daemon = "quagga" }, `"quagga"`},
		"no family at al": {func(t *Topology) { t.Racks[0].Subnet = Pair{} }, "no address family"},
	} {
		t.Run(name, func(t *testing.T) {
			topo := Default()
			tc.spoil(&topo)
			if err := topo.Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Validate: %v, want %q in it", err, tc.want)
			}
		})
	}
	if err := Default().Validate(); err != nil {
		t.Errorf("Default: %v", err)
	}
}

func TestOwners(t *testing.T) {
	owners := withOutside().Owners()
	for address, want := range map[string]string{
		"172.16.1.2": "r1-tor2", "172.16.2.14": "n4", "fd00:172:16:1::b": "n1",
		"172.30.0.0": "s1", "172.30.0.1": "r1-tor1", "172.30.0.129": "r1-tor1", "172.30.0.128": "s2",
		"198.51.100.10": "out", "fd00:198:51:100::2": "s2",
	} {
		if got := owners[netip.MustParseAddr(address)]; got != want {
			t.Errorf("%s belongs to %q, want %q", address, got, want)
		}
	}
}

func TestSpare(t *testing.T) {
	topo := Default()
	topo.Spare = []netip.Prefix{netip.MustParsePrefix("10.99.0.0/16"), netip.MustParsePrefix("fd00:99::/64")}
	for router, want := range map[string][]string{
		"r1-tor1": {"prefix-list PODS4 permit 10.99.0.0/16 le 32", "prefix-list PODS6 permit fd00:99::/64 le 128"},
		"r1-tor2": {"10.244.0.0/16+, 10.99.0.0/16+", "fd00:99::/64+"},
	} {
		files, err := topo.Render(router)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains(files["bgpd.conf"]+files["bird.conf"], w) {
				t.Errorf("%s does not accept %q", router, w)
			}
		}
	}
	if got := topo.Only(V6).Spare; len(got) != 1 || !got[0].Addr().Is6() {
		t.Errorf("spare ranges of IPv6 alone: %v", got)
	}
}

// A rack without a ToR leads nowhere: its nodes have no default route.
func TestRackWithoutToR(t *testing.T) {
	topo := Default()
	topo.Racks[0].ToRs = nil
	for node, want := range map[string]bool{"n1": false, "n3": true} {
		w, err := topo.NodeWiring(node, bare)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(strings.Join(w.Inside[node], "\n"), "route add"); got != want {
			t.Errorf("default route of %s: %v, want %v", node, got, want)
		}
	}
}
