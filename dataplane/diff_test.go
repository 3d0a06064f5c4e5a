package dataplane_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fairlead.dev/dataplane"
)

func via(prefix string, hops ...string) dataplane.Route {
	r := dataplane.Route{Prefix: netip.MustParsePrefix(prefix)}
	for _, hop := range hops {
		r.NextHops = append(r.NextHops, netip.MustParseAddr(hop))
	}
	return r
}

func onLink(r dataplane.Route, link string) dataplane.Route {
	r.Link = link
	return r
}

func from(r dataplane.Route, source string) dataplane.Route {
	r.Source = netip.MustParseAddr(source)
	return r
}

func blackhole(prefix string) dataplane.Route {
	return dataplane.Route{Prefix: netip.MustParsePrefix(prefix), Kind: dataplane.Blackhole}
}

var sameRoutes = cmp.Options{cmpopts.EquateEmpty(), cmp.Comparer(dataplane.Route.Equal)}

func TestDiff(t *testing.T) {
	a, a2, b, c := via("10.244.1.0/26", "10.2.0.1"), via("10.244.1.0/26", "10.2.0.1", "10.2.0.2"), blackhole("10.244.2.0/26"), blackhole("fd00::/122")
	odd := dataplane.Route{Prefix: b.Prefix, Kind: dataplane.Unknown}
	for name, test := range map[string]struct {
		want, have []dataplane.Route
		ops        dataplane.Ops
	}{
		"nothing":           {},
		"all new, sorted":   {want: []dataplane.Route{c, b, a}, ops: dataplane.Ops{Add: []dataplane.Route{a, b, c}}},
		"all old, sorted":   {have: []dataplane.Route{c, b, a}, ops: dataplane.Ops{Delete: []dataplane.Route{a, b, c}}},
		"the same":          {want: []dataplane.Route{a, b, c}, have: []dataplane.Route{c, a, b}},
		"another next hop":  {want: []dataplane.Route{a2}, have: []dataplane.Route{a}, ops: dataplane.Ops{Replace: []dataplane.Route{a2}}},
		"on a link":         {want: []dataplane.Route{onLink(a, "eth0")}, have: []dataplane.Route{a}, ops: dataplane.Ops{Replace: []dataplane.Route{onLink(a, "eth0")}}},
		"another source":    {want: []dataplane.Route{a}, have: []dataplane.Route{from(a, "10.2.0.9")}, ops: dataplane.Ops{Replace: []dataplane.Route{a}}},
		"one next hop less": {want: []dataplane.Route{a}, have: []dataplane.Route{a2}, ops: dataplane.Ops{Replace: []dataplane.Route{a}}},
		"another kind": {
			want: []dataplane.Route{via("10.244.2.0/26", "10.2.0.1")}, have: []dataplane.Route{b},
			ops: dataplane.Ops{Replace: []dataplane.Route{via("10.244.2.0/26", "10.2.0.1")}},
		},
		"an odd one, wanted":     {want: []dataplane.Route{b}, have: []dataplane.Route{odd}, ops: dataplane.Ops{Replace: []dataplane.Route{b}}},
		"an odd one, not wanted": {have: []dataplane.Route{odd}, ops: dataplane.Ops{Delete: []dataplane.Route{odd}}},
		"same address, other length": {
			want: []dataplane.Route{blackhole("10.244.2.0/25")}, have: []dataplane.Route{b},
			ops: dataplane.Ops{Add: []dataplane.Route{blackhole("10.244.2.0/25")}, Delete: []dataplane.Route{b}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := dataplane.Diff(test.want, test.have)
			if diff := cmp.Diff(test.ops, got, sameRoutes); diff != "" {
				t.Errorf("ops (-want +got):\n%s", diff)
			}
			if got.Empty() != (len(test.ops.Add)+len(test.ops.Replace)+len(test.ops.Delete) == 0) {
				t.Errorf("Empty is %v of %v", got.Empty(), got)
			}
		})
	}
}

// routesOf turns bytes into a set of canonical routes out of few prefixes and
// next hops, so that two sets meet often.
func routesOf(data []byte) []dataplane.Route {
	set := map[netip.Prefix]dataplane.Route{}
	for ; len(data) >= 2; data = data[2:] {
		r := dataplane.Route{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, data[0] & 7, 0}), 24+int(data[0]>>6))}
		for bit := range 4 {
			if data[1]&(1<<bit) != 0 {
				r.NextHops = append(r.NextHops, netip.AddrFrom4([4]byte{10, 2, 0, byte(20 - bit)}))
			}
		}
		if len(r.NextHops) == 0 {
			r.Kind = dataplane.Blackhole
		}
		r = r.Canonical()
		set[r.Prefix] = r
	}
	var out []dataplane.Route
	for _, r := range set {
		out = append(out, r)
	}
	return out
}

// apply carries out ops in their order and fails where one does not fit.
func apply(t *testing.T, ops dataplane.Ops, have []dataplane.Route) []dataplane.Route {
	table := map[netip.Prefix]dataplane.Route{}
	for _, r := range have {
		table[r.Prefix] = r
	}
	for _, r := range ops.Replace {
		if old, ok := table[r.Prefix]; !ok || old.Equal(r) {
			t.Errorf("replace %s in the place of %v", r, old)
		}
		table[r.Prefix] = r
	}
	for _, r := range ops.Add {
		if old, ok := table[r.Prefix]; ok {
			t.Errorf("add %s beside %s", r, old)
		}
		table[r.Prefix] = r
	}
	for _, r := range ops.Delete {
		if old, ok := table[r.Prefix]; !ok || !old.Equal(r) {
			t.Errorf("delete %s where %v is", r, old)
		}
		delete(table, r.Prefix)
	}
	var out []dataplane.Route
	for _, r := range table {
		out = append(out, r)
	}
	dataplane.SortRoutes(out)
	return out
}

func FuzzDiff(f *testing.F) {
	f.Add([]byte{}, []byte{1, 1})
	f.Add([]byte{1, 3, 2, 0, 0xc1, 1}, []byte{1, 1, 2, 7, 3, 3})
	f.Add([]byte{7, 15, 6, 1, 5, 2}, []byte{7, 15, 6, 2, 4, 0})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		want, have := routesOf(a), routesOf(b)
		ops := dataplane.Diff(want, have)
		got := apply(t, ops, have)
		dataplane.SortRoutes(want)
		if diff := cmp.Diff(want, got, sameRoutes); diff != "" {
			t.Errorf("apply(Diff(want, have), have) (-want +got):\n%s", diff)
		}
		if again := dataplane.Diff(want, got); !again.Empty() {
			t.Errorf("a second Diff finds %v", again)
		}
		for _, list := range [][]dataplane.Route{ops.Add, ops.Replace, ops.Delete} {
			if !slices.IsSortedFunc(list, func(a, b dataplane.Route) int { return dataplane.ComparePrefix(a.Prefix, b.Prefix) }) {
				t.Errorf("not sorted: %v", list)
			}
		}
	})
}
