package speaker

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/bgp"
)

// A table that is patched again and again holds what was found last.
func TestPatch(t *testing.T) {
	const rounds, prefixes = 300, 40
	random := rand.New(rand.NewPCG(1, 2))
	peers := []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}
	table, model := newTable(), map[netip.Prefix]found{}
	for range rounds {
		var news []found
		for i := range prefixes {
			if random.IntN(4) > 0 {
				continue
			}
			f := found{Route: bgp.Route{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i)}), 16)}}
			f.senders = peers[random.IntN(3):][:random.IntN(2)]
			if len(f.senders) > 0 && random.IntN(4) > 0 {
				f.NextHops = []netip.Addr{netip.MustParseAddr(f.senders[0])}
			} else if random.IntN(2) > 0 {
				f.err = fmt.Errorf("read route %s", f.Prefix)
			}
			news = append(news, f)
			model[f.Prefix] = f
		}
		given, before := table.routes, slices.Clone(table.routes)
		table.patch(news)
		compareTable(t, table, model)
		if d := cmp.Diff(before, given, values); d != "" {
			t.Fatalf("routes that were given out have changed: %s", d)
		}
	}
}

func compareTable(t *testing.T, table *table, model map[netip.Prefix]found) {
	t.Helper()
	var routes []bgp.Route
	accepted := map[string]int64{}
	var errs []error
	for _, f := range model {
		if len(f.NextHops) > 0 {
			routes = append(routes, f.Route)
		}
		for _, name := range f.senders {
			accepted[name]++
		}
		errs = append(errs, f.err)
	}
	slices.SortFunc(routes, func(a, b bgp.Route) int { return bgp.ComparePrefix(a.Prefix, b.Prefix) })
	if d := cmp.Diff(routes, table.routes, values); d != "" {
		t.Fatalf("routes: -want +got:\n%s", d)
	}
	got := table.accepted()
	for name, n := range got {
		if n != accepted[name] {
			t.Fatalf("%d paths of %s, want %d", n, name, accepted[name])
		}
	}
	if len(got) < len(accepted) {
		t.Fatalf("paths are %v, want %v", got, accepted)
	}
	if (table.err() == nil) != (errors.Join(errs...) == nil) {
		t.Fatalf("error is %v, want %v", table.err(), errors.Join(errs...))
	}
}
