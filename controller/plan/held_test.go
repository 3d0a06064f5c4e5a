package plan_test

import (
	"errors"
	"net/netip"
	"testing"

	"fairlead.dev/controller/plan"
	"fairlead.dev/dataplane"
)

func TestHeld(t *testing.T) {
	prefix := func(s string) netip.Prefix { return netip.MustParsePrefix(s) }
	route := func(s string, hops ...string) dataplane.Route {
		r := dataplane.Route{Prefix: prefix(s)}
		for _, h := range hops {
			r.NextHops = append(r.NextHops, netip.MustParseAddr(h))
		}
		return r
	}
	p := plan.Plan{Routes: []dataplane.Route{
		route("10.1.0.0/26", "192.0.2.1"), route("10.1.0.0/27", "192.0.2.1"), route("10.3.0.0/26", "192.0.2.1"), route("fd00::/64", "fd01::1"),
	}}
	why := errors.New("another route is in its place")
	h := p.Held(dataplane.Result{Seen: true, Failed: map[netip.Prefix]error{
		prefix("10.1.0.0/26"): why, prefix("10.3.0.0/26"): why, prefix("10.9.0.0/26"): why,
	}})
	want := []bool{false, true, false, true}
	for i, r := range p.Routes {
		if h.At(i) != want[i] || h.Has(r.Prefix) != want[i] {
			t.Errorf("%s is held: %t and %t, want %t", r.Prefix, h.At(i), h.Has(r.Prefix), want[i])
		}
	}
	if h.Count() != 2 {
		t.Errorf("%d are held", h.Count())
	}
	for _, other := range []string{"10.0.0.0/26", "10.2.0.0/26", "10.1.0.0/25", "::/0"} {
		if h.Has(prefix(other)) {
			t.Errorf("%s is held and not planned", other)
		}
	}
	if none := p.Held(dataplane.Result{}); none.Count() != 0 || none.Has(prefix("fd00::/64")) {
		t.Error("of nothing, something is held")
	}
}
