package speaker

import (
	"context"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"fairlead.dev/bgp"
)

// lister is an engine without peers, that originates some prefixes.
func lister(t testing.TB, prefixes ...string) *engine {
	t.Helper()
	s := &Speaker{opts: Options{Logger: slog.New(slog.DiscardHandler)}, changes: make(chan struct{}, 1), gate: make(chan struct{}, 1)}
	e, err := s.start(t.Context(), bgp.Global{ASN: testASN, RouterID: left, ListenPort: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.stop(context.Background()) })
	for _, p := range prefixes {
		if err := e.announce(t.Context(), netip.MustParsePrefix(p)); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// learner is a reader to which what the engine originates is another's.
func learner(e *engine) *reader {
	const name = "<nil>"
	in := e.newReader(context.Background())
	in.neighbours[name] = neighbour{Peer: bgp.Peer{Address: right, ASN: 65002}, alone: []netip.Addr{right}, only: []string{name}}
	return in
}

func TestReadSome(t *testing.T) {
	e := lister(t, "10.1.0.0/16", "10.2.0.0/16", "10.2.0.0/24", "fd00::/64", "fd00:1::/64")
	for name, test := range map[string]struct{ asked, there []string }{
		"all":        {nil, []string{"10.1.0.0/16", "10.2.0.0/16", "10.2.0.0/24", "fd00::/64", "fd00:1::/64"}},
		"IPv4 alone": {[]string{"10.2.0.0/16", "10.3.0.0/16"}, []string{"10.2.0.0/16"}},
		"IPv6 alone": {[]string{"fd00::/48", "fd00:1::/64"}, []string{"fd00:1::/64"}},
		"both":       {[]string{"0.0.0.0/0", "10.1.0.0/16", "::/0", "fd00::/64", "fd00::/65"}, []string{"10.1.0.0/16", "fd00::/64"}},
		"a host":     {[]string{"10.2.0.0/32"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []netip.Prefix
			for _, p := range test.asked {
				asked = append(asked, netip.MustParsePrefix(p))
			}
			got, err := e.read(t.Context(), learner(e), asked)
			if err != nil {
				t.Fatal(err)
			}
			there := map[netip.Prefix]bool{}
			for _, p := range test.there {
				there[netip.MustParsePrefix(p)] = true
			}
			if asked != nil && len(got) != len(asked) || asked == nil && len(got) != len(there) {
				t.Errorf("got %d prefixes: %+v", len(got), got)
			}
			for i, f := range got {
				if i > 0 && bgp.ComparePrefix(got[i-1].Prefix, f.Prefix) >= 0 {
					t.Errorf("%s comes after %s", f.Prefix, got[i-1].Prefix)
				}
				if (len(f.NextHops) > 0) != there[f.Prefix] || len(f.NextHops) != len(f.senders) || f.err != nil {
					t.Errorf("got %+v", f)
				}
			}
		})
	}
}

// All is listed only when it has to be.
func TestRefresh(t *testing.T) {
	e := lister(t)
	for _, test := range []struct {
		when string
		make func()
		all  bool
	}{
		{"for the first time", func() {}, true},
		{"after nothing", func() {}, false},
		{"after a change", func() { e.journal.touched.ask([]netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}) }, true}, // of no routes
		{"after one change of two routes", func() {
			e.view.patch([]found{routeTo("10.1.0.0/16"), routeTo("10.2.0.0/16")})
			e.journal.touched.ask([]netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")})
		}, false},
		{"after a change of anything", e.journal.touched.addAll, true},
		{"after a time", func() { e.view.listed = e.view.listed.Add(-listingAge) }, true},
		{"when stale paths are void by time", func() { e.view.back = 1 }, true},
	} {
		test.make()
		before := e.view
		if err := e.refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if all := e.view.table != before.table; all != test.all || all != !e.view.listed.Equal(before.listed) || !e.view.read.After(before.read) {
			t.Errorf("%s: all is listed: %t", test.when, all)
		}
	}
}

func routeTo(prefix string) found {
	return found{Route: bgp.Route{Prefix: netip.MustParsePrefix(prefix), NextHops: []netip.Addr{left}}, senders: []string{left.String()}}
}

// The counts of Sessions may be late, but not for long.
func TestCountsAge(t *testing.T) {
	e := lister(t)
	if n := len(e.accepted(t.Context())); n != 0 {
		t.Errorf("paths of %d peers", n)
	}
	e.view.patch([]found{routeTo("10.1.0.0/16")})
	e.journal.touched.addAll()
	if n := e.accepted(t.Context())[left.String()]; n != 1 {
		t.Errorf("%d paths are counted soon after", n)
	}
	e.view.read = time.Now().Add(-countAge - time.Second)
	if n := e.accepted(t.Context())[left.String()]; n != 0 {
		t.Errorf("%d paths are counted later", n)
	}
}
