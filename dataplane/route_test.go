package dataplane_test

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/routetest"
)

func TestCanonical(t *testing.T) {
	hops := []netip.Addr{netip.MustParseAddr("10.2.0.12"), netip.MustParseAddr("10.2.0.11"), netip.MustParseAddr("10.2.0.12")}
	r := dataplane.Route{Prefix: netip.MustParsePrefix("10.244.1.9/26"), NextHops: hops}
	got := r.Canonical()
	if want := routetest.Via("10.244.1.0/26", "10.2.0.11", "10.2.0.12"); !got.Equal(want) {
		t.Errorf("got %s, want %s", got, want)
	}
	if !got.Canonical().Equal(got) {
		t.Errorf("twice: %s", got.Canonical())
	}
	if hops[0].String() != "10.2.0.12" {
		t.Error("the caller's own next hops were sorted")
	}
}

func TestValidate(t *testing.T) {
	for text, test := range map[string]struct {
		route dataplane.Route
		want  error
	}{
		"IPv4":              {routetest.Via("10.244.1.0/26", "10.2.0.11"), nil},
		"IPv6 ECMP":         {routetest.Via("fd00::/122", "2001:db8::1", "2001:db8::2"), nil},
		"link-local":        {routetest.Via("fd00::/122", "fe80::1%eth0", "fe80::1%eth1"), nil},
		"blackhole":         {routetest.Blackhole("fd00::/122"), nil},
		"default route":     {routetest.Via("0.0.0.0/0", "10.2.0.11"), nil},
		"IPv4 link-local":   {routetest.Via("10.244.1.0/26", "169.254.1.1"), nil},
		"no prefix":         {dataplane.Route{}, dataplane.ErrPrefix},
		"host bits":         {routetest.Via("10.244.1.9/26", "10.2.0.11"), dataplane.ErrPrefix},
		"mapped prefix":     {routetest.Via("::ffff:10.244.1.0/122", "2001:db8::1"), dataplane.ErrPrefix},
		"unknown kind":      {dataplane.Route{Prefix: netip.MustParsePrefix("fd00::/122"), Kind: dataplane.Unknown}, dataplane.ErrKind},
		"no next hop":       {routetest.Via("10.244.1.0/26"), dataplane.ErrNextHop},
		"not sorted":        {routetest.Via("10.244.1.0/26", "10.2.0.12", "10.2.0.11"), dataplane.ErrNextHop},
		"twice":             {routetest.Via("10.244.1.0/26", "10.2.0.11", "10.2.0.11"), dataplane.ErrNextHop},
		"IPv4 via IPv6":     {routetest.Via("10.244.1.0/26", "10.2.0.11", "2001:db8::1", "fe80::1%eth0"), nil},
		"on a link":         {routetest.OnLink(routetest.Via("10.244.1.0/26", "10.2.0.11", "2001:db8::1", "fe80::1"), "vx0"), nil},
		"source":            {routetest.From(routetest.Via("10.244.1.0/26", "fe80::1%eth0"), "10.2.0.1"), nil},
		"IPv6 via IPv4":     {routetest.Via("fd00::/122", "10.2.0.11"), dataplane.ErrNextHop},
		"two links":         {routetest.OnLink(routetest.Via("fd00::/122", "fe80::1%eth0"), "eth0"), dataplane.ErrNextHop},
		"blackhole, link":   {routetest.OnLink(routetest.Blackhole("fd00::/122"), "eth0"), dataplane.ErrLink},
		"blackhole, source": {routetest.From(routetest.Blackhole("fd00::/122"), "2001:db8::1"), dataplane.ErrSource},
		"source's family":   {routetest.From(routetest.Via("10.244.1.0/26", "10.2.0.11"), "2001:db8::1"), dataplane.ErrSource},
		"mapped source":     {routetest.From(routetest.Via("fd00::/122", "2001:db8::1"), "::ffff:10.2.0.1"), dataplane.ErrSource},
		"source of nobody":  {routetest.From(routetest.Via("10.244.1.0/26", "10.2.0.11"), "0.0.0.0"), dataplane.ErrSource},
		"mapped next hop":   {routetest.Via("fd00::/122", "::ffff:10.2.0.11"), dataplane.ErrNextHop},
		"no zone":           {routetest.Via("fd00::/122", "fe80::1"), dataplane.ErrNextHop},
		"zone for a global": {routetest.Via("fd00::/122", "2001:db8::1%eth0"), dataplane.ErrNextHop},
		"unspecified":       {routetest.Via("10.244.1.0/26", "0.0.0.0"), dataplane.ErrNextHop},
		"multicast":         {routetest.Via("10.244.1.0/26", "224.0.0.5"), dataplane.ErrNextHop},
		"loopback":          {routetest.Via("fd00::/122", "::1"), dataplane.ErrNextHop},
		"no address": {
			dataplane.Route{Prefix: netip.MustParsePrefix("fd00::/122"), NextHops: []netip.Addr{{}}}, dataplane.ErrNextHop,
		},
		"blackhole with next hop": {
			dataplane.Route{Prefix: netip.MustParsePrefix("fd00::/122"), Kind: dataplane.Blackhole, NextHops: routetest.Via("fd00::/122", "2001:db8::1").NextHops},
			dataplane.ErrNextHop,
		},
	} {
		if err := test.route.Validate(); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", text, err, test.want)
		}
	}
}

func TestString(t *testing.T) {
	for want, r := range map[string]dataplane.Route{
		"10.244.3.0/26 via 10.2.0.11, 10.2.0.12":                  routetest.Via("10.244.3.0/26", "10.2.0.11", "10.2.0.12"),
		"10.244.3.0/26 via fe80::1 dev vx0 onlink src 10.244.1.0": routetest.From(routetest.OnLink(routetest.Via("10.244.3.0/26", "fe80::1"), "vx0"), "10.244.1.0"),
		"blackhole fd00::/122":                                    routetest.Blackhole("fd00::/122"),
		"fd00::/122 of a foreign shape":                           {Prefix: netip.MustParsePrefix("fd00::/122"), Kind: dataplane.Unknown},
	} {
		if got := r.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestSortRoutes(t *testing.T) {
	routes := []dataplane.Route{routetest.Blackhole("fd00::/122"), routetest.Blackhole("10.244.1.0/26"), routetest.Blackhole("10.244.0.0/26"), routetest.Blackhole("10.244.0.0/16"), routetest.Blackhole("9.0.0.0/8")}
	dataplane.SortRoutes(routes)
	var got []string
	for _, r := range routes {
		got = append(got, r.Prefix.String())
	}
	if diff := cmp.Diff([]string{"9.0.0.0/8", "10.244.0.0/16", "10.244.0.0/26", "10.244.1.0/26", "fd00::/122"}, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestSift(t *testing.T) {
	good, failed := dataplane.Sift([]dataplane.Route{
		routetest.Via("10.244.1.9/26", "10.2.0.12", "10.2.0.11"),
		routetest.Via("10.244.2.0/26"),
		routetest.Blackhole("10.244.3.0/26"), routetest.Blackhole("10.244.3.1/26"),
		routetest.Blackhole("10.244.4.0/26"), routetest.Via("10.244.4.0/26", "10.2.0.11"),
		{},
	})
	want := []dataplane.Route{routetest.Via("10.244.1.0/26", "10.2.0.11", "10.2.0.12"), routetest.Blackhole("10.244.3.0/26"), routetest.Blackhole("10.244.4.0/26")}
	if diff := routetest.Diff(want, good); diff != "" {
		t.Errorf("good (-want +got):\n%s", diff)
	}
	for prefix, want := range map[netip.Prefix]error{
		netip.MustParsePrefix("10.244.2.0/26"): dataplane.ErrNextHop,
		netip.MustParsePrefix("10.244.4.0/26"): dataplane.ErrTwice,
		{}:                                     dataplane.ErrPrefix,
	} {
		if !errors.Is(failed[prefix], want) {
			t.Errorf("%s: %v, want %v", prefix, failed[prefix], want)
		}
		delete(failed, prefix)
	}
	if len(failed) != 0 {
		t.Errorf("also failed: %v", failed)
	}
}

// What is in order is not copied, and one thing out of order anywhere is seen,
// also in a route that goes where the one before goes.
func TestSiftInOrder(t *testing.T) {
	hop := "10.2.0.11"
	list := []dataplane.Route{routetest.Via("10.244.0.0/26", hop), routetest.Via("10.244.0.64/26", hop), routetest.Blackhole("10.244.1.0/26"), routetest.Blackhole("fd00::/122")}
	good, failed := dataplane.Sift(list)
	if &good[0] != &list[0] || len(good) != len(list) || len(failed) != 0 {
		t.Errorf("a list in order was copied: %v, failed %v", good, failed)
	}
	for text, wrong := range map[string]dataplane.Route{
		"host bits":    routetest.Via("10.244.0.65/26", hop),
		"before":       routetest.Via("10.243.0.64/26", hop),
		"twice":        routetest.Via("10.244.0.0/26", hop),
		"mapped":       routetest.Via("::ffff:10.244.0.64/122", hop),
		"two hops":     routetest.Via("10.244.0.64/26", hop, hop),
		"other family": routetest.Via("fd01::/122", hop),
		"no prefix":    {NextHops: list[0].NextHops},
	} {
		good, _ := dataplane.Sift([]dataplane.Route{list[0], wrong, list[2]})
		want := []dataplane.Route{list[0], list[2]}
		if c := wrong.Canonical(); c.Validate() == nil && c.Prefix != list[0].Prefix {
			want = append(want, c)
			dataplane.SortRoutes(want)
		}
		if diff := routetest.Diff(want, good); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}
