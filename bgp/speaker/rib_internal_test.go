package speaker

import (
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	api "github.com/osrg/gobgp/v3/api"
	packet "github.com/osrg/gobgp/v3/pkg/packet/bgp"

	"fairlead.dev/bgp"
)

const testASN = 65101

var (
	left, right = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	inner       = netip.MustParseAddr("192.0.2.3")
	again       = netip.MustParseAddr("192.0.2.4")
	tors        = map[string]neighbour{
		left.String():  {Peer: bgp.Peer{Address: left, ASN: 65001}, alone: []netip.Addr{left}, only: []string{left.String()}},
		right.String(): {Peer: bgp.Peer{Address: right, ASN: 65002}, alone: []netip.Addr{right}, only: []string{right.String()}},
		inner.String(): {Peer: bgp.Peer{Address: inner, ASN: testASN}, alone: []netip.Addr{inner}, only: []string{inner.String()}},
		again.String(): {Peer: bgp.Peer{Address: again, ASN: 65003}, alone: []netip.Addr{again}, only: []string{again.String()}, back: true},
	}
	values = cmp.Options{
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	}
)

// learnedPath is a path as the engine lists it. Without attributes it has an
// AS path of one.
func learnedPath(t *testing.T, from netip.Addr, stale bool, attributes ...packet.PathAttributeInterface) *api.Path {
	t.Helper()
	as := []packet.AsPathParamInterface{packet.NewAs4PathParam(packet.BGP_ASPATH_ATTR_TYPE_SEQ, []uint32{tors[from.String()].ASN})}
	all := append([]packet.PathAttributeInterface{
		packet.NewPathAttributeOrigin(0), packet.NewPathAttributeNextHop(from.String()),
	}, attributes...)
	if !hasASPath(attributes) {
		all = append(all, packet.NewPathAttributeAsPath(as))
	}
	p := &api.Path{NeighborIp: from.String(), Stale: stale}
	for _, a := range all {
		data, err := a.Serialize()
		if err != nil {
			t.Fatal(err)
		}
		p.PattrsBinary = append(p.PattrsBinary, data)
	}
	return p
}

func hasASPath(attributes []packet.PathAttributeInterface) bool {
	for _, a := range attributes {
		if a.GetType() == packet.BGP_ATTR_TYPE_AS_PATH {
			return true
		}
	}
	return false
}

func newReader() *reader {
	return &reader{neighbours: tors, asn: testASN, known: map[string]attributes{}, together: map[string][]string{}}
}

func TestReadRoute(t *testing.T) {
	const prefix = "10.244.1.0/26"
	longer := packet.NewPathAttributeAsPath([]packet.AsPathParamInterface{
		packet.NewAs4PathParam(packet.BGP_ASPATH_ATTR_TYPE_SEQ, []uint32{65001, 65009}),
	})
	route := func(stale bool, from ...netip.Addr) *bgp.Route {
		return &bgp.Route{Prefix: netip.MustParsePrefix(prefix), NextHops: from, Peers: from, Stale: stale}
	}
	tests := map[string]struct {
		paths []*api.Path
		want  *bgp.Route
	}{
		"none":                 {nil, nil},
		"our own wins":         {[]*api.Path{{NeighborIp: "<nil>"}, learnedPath(t, left, false)}, nil},
		"of nobody any more":   {[]*api.Path{{NeighborIp: "192.0.2.99"}}, nil},
		"one":                  {[]*api.Path{learnedPath(t, left, false)}, route(false, left)},
		"two, sorted":          {[]*api.Path{learnedPath(t, right, false), learnedPath(t, left, false)}, route(false, left, right)},
		"stale":                {[]*api.Path{learnedPath(t, left, true)}, route(true, left)},
		"all stale":            {[]*api.Path{learnedPath(t, left, true), learnedPath(t, right, true)}, route(true, left, right)},
		"stale yields":         {[]*api.Path{learnedPath(t, left, true), learnedPath(t, right, false)}, route(false, right)},
		"back for long, stale": {[]*api.Path{learnedPath(t, again, true)}, nil},
		"back for long, fresh": {[]*api.Path{learnedPath(t, again, false)}, route(false, again)},
		"longer AS path":       {[]*api.Path{learnedPath(t, right, false), learnedPath(t, left, false, longer)}, route(false, right)},
		"larger MED":           {[]*api.Path{learnedPath(t, right, false), learnedPath(t, left, false, packet.NewPathAttributeMultiExitDisc(5))}, route(false, right)},
		"lower preference":     {[]*api.Path{learnedPath(t, right, false), learnedPath(t, left, false, packet.NewPathAttributeLocalPref(50))}, route(false, right)},
		"default preference":   {[]*api.Path{learnedPath(t, right, false), learnedPath(t, left, false, packet.NewPathAttributeLocalPref(100))}, route(false, left, right)},
		"external before ours": {[]*api.Path{learnedPath(t, left, false), learnedPath(t, inner, false)}, route(false, left)},
		"a stale best path yields only to an equal one": {
			[]*api.Path{learnedPath(t, right, true), learnedPath(t, left, false, longer)}, route(true, right),
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := newReader().read(&api.Destination{Prefix: prefix, Paths: test.paths})
			if got.err != nil {
				t.Fatal(got.err)
			}
			want := bgp.Route{Prefix: netip.MustParsePrefix(prefix)}
			if test.want != nil {
				want = *test.want
			}
			if d := cmp.Diff(want, got.Route, values); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

func TestReadRouteLeavesOutABadPath(t *testing.T) {
	bad := &api.Path{NeighborIp: left.String(), PattrsBinary: [][]byte{{0x40, 3, 4, 1}}}
	got := newReader().read(&api.Destination{Prefix: "10.0.0.0/8", Paths: []*api.Path{bad, learnedPath(t, right, false)}})
	if got.err == nil || len(got.NextHops) != 1 || got.NextHops[0] != right || !slices.Equal(got.senders, []string{left.String(), right.String()}) {
		t.Errorf("got %+v", got)
	}
	if got := newReader().read(&api.Destination{Prefix: "nonsense"}); got.err == nil {
		t.Errorf("a nonsense prefix is %+v", got)
	}
}

func TestNextHop(t *testing.T) {
	neighbour := netip.MustParseAddr("fd00::2")
	tests := map[string]struct {
		hops []string
		want netip.Addr
	}{
		"none":                 {nil, neighbour},
		"IPv4":                 {[]string{"192.0.2.7"}, netip.MustParseAddr("192.0.2.7")},
		"third party":          {[]string{"fd00::7"}, netip.MustParseAddr("fd00::7")},
		"BIRD's link-local":    {[]string{"::"}, neighbour},
		"link-local":           {[]string{"fe80::7"}, neighbour},
		"global behind a link": {[]string{"fe80::7", "fd00::7"}, netip.MustParseAddr("fd00::7")},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var all []packet.PathAttributeInterface
			for _, h := range test.hops {
				all = append(all, &packet.PathAttributeMpReachNLRI{Nexthop: net.ParseIP(h)})
			}
			if got := nextHops(all, neighbour); len(got) != 1 || got[0] != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// Attributes read before are those of the same peer and the same bytes only.
func TestReaderTellsAttributesApart(t *testing.T) {
	r := newReader()
	third := netip.MustParseAddr("192.0.2.77")
	for _, test := range []struct {
		path *api.Path
		want bgp.Route
	}{
		{learnedPath(t, left, false), bgp.Route{NextHops: []netip.Addr{left}, Peers: []netip.Addr{left}}},
		{learnedPath(t, left, true), bgp.Route{NextHops: []netip.Addr{left}, Peers: []netip.Addr{left}, Stale: true}},
		{learnedPath(t, right, false), bgp.Route{NextHops: []netip.Addr{right}, Peers: []netip.Addr{right}}},
		{
			learnedPath(t, left, false, packet.NewPathAttributeNextHop(third.String())),
			bgp.Route{NextHops: []netip.Addr{left}, Peers: []netip.Addr{left}},
		},
		{learnedPath(t, left, false), bgp.Route{NextHops: []netip.Addr{left}, Peers: []netip.Addr{left}}},
	} {
		test.want.Prefix = netip.MustParsePrefix("10.244.1.0/26")
		got := r.read(&api.Destination{Prefix: test.want.Prefix.String(), Paths: []*api.Path{test.path}})
		if got.err != nil {
			t.Fatal(got.err)
		}
		if d := cmp.Diff(test.want, got.Route, values); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
	}
	// MP_REACH_NLRI holds the prefix: it is never remembered.
	before := len(r.known)
	v6 := learnedPath(t, left, false, packet.NewPathAttributeMpReachNLRI("fd00::7", []packet.AddrPrefixInterface{packet.NewIPv6AddrPrefix(64, "fd01::")}))
	if got := r.read(&api.Destination{Prefix: "fd01::/64", Paths: []*api.Path{v6}}); got.err != nil {
		t.Fatal(got.err)
	}
	if before != 3 || len(r.known) != before {
		t.Errorf("%d, then %d attributes are remembered", before, len(r.known))
	}
}

// Routes that say the same share their lists, and keep what they say.
func TestReaderShares(t *testing.T) {
	r := newReader()
	both := []*api.Path{learnedPath(t, left, false), learnedPath(t, right, false)}
	var got []found
	for _, paths := range [][]*api.Path{both, both, {both[1]}, both} {
		got = append(got, r.read(&api.Destination{Prefix: "10.244.1.0/26", Paths: paths}))
	}
	if &got[0].NextHops[0] != &got[1].NextHops[0] || &got[0].Peers[0] != &got[1].Peers[0] {
		t.Error("two routes by the same next hops have lists of their own")
	}
	for i, want := range [][]netip.Addr{{left, right}, {left, right}, {right}, {left, right}} {
		if !slices.Equal(got[i].NextHops, want) || !slices.Equal(got[i].Peers, want) {
			t.Errorf("route %d is %+v", i, got[i].Route)
		}
	}
}
