package fake_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/bgp"
	"fairlead.dev/bgp/fake"
)

var (
	tor1   = netip.MustParseAddr("192.0.2.1")
	tor2   = netip.MustParseAddr("192.0.2.2")
	block  = netip.MustParsePrefix("10.244.1.0/26")
	values = cmp.Options{
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	}
)

func config() bgp.Config {
	accept := []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16")}
	return bgp.Config{
		Global: bgp.Global{ASN: 65101, RouterID: netip.MustParseAddr("10.0.0.1"), ListenPort: -1},
		Peers:  []bgp.Peer{{Address: tor1, ASN: 65001, Accept: accept}, {Address: tor2, ASN: 65001, Accept: accept}},
	}
}

// started is a speaker with both peers up, which have sent the same block.
func started(t *testing.T) *fake.Speaker {
	t.Helper()
	s := fake.New()
	if err := s.Apply(context.Background(), config()); err != nil {
		t.Fatal(err)
	}
	for _, tor := range []netip.Addr{tor1, tor2} {
		s.Establish(tor)
		s.Receive(tor, block, tor)
		s.EndOfRIB(tor)
	}
	return s
}

func expect(t *testing.T, s *fake.Speaker, want ...bgp.Route) {
	t.Helper()
	got, err := s.Routes()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, values); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func route(stale bool, from ...netip.Addr) bgp.Route {
	return bgp.Route{Prefix: block, NextHops: from, Peers: from, Stale: stale}
}

func TestStalePathsYield(t *testing.T) {
	s := started(t)
	expect(t, s, route(false, tor1, tor2))
	s.Restart(tor1)
	expect(t, s, route(false, tor2))
	s.Restart(tor2)
	expect(t, s, route(true, tor1, tor2))
	s.Establish(tor1)
	s.Receive(tor1, block, tor1)
	expect(t, s, route(false, tor1))
	s.Establish(tor2)
	s.EndOfRIB(tor2)
	expect(t, s, route(false, tor1))
	s.Down(tor1, "hold timer expired")
	expect(t, s)
}

func TestFailedApplyChangesNothing(t *testing.T) {
	s := started(t)
	boom := errors.New("boom")
	s.Fail(boom)
	if err := s.Apply(context.Background(), bgp.Config{}); !errors.Is(err, boom) {
		t.Errorf("Apply says %v", err)
	}
	s.Fail(nil)
	expect(t, s, route(false, tor1, tor2))
	if n := len(s.Applied()); n != 1 {
		t.Errorf("%d Configs applied, want 1", n)
	}
}

func TestResetForgets(t *testing.T) {
	s := started(t)
	c := config()
	c.Peers[0].Password = "new"
	if err := s.Apply(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	expect(t, s, route(false, tor2))
	if first := s.Sessions()[0]; first.State == bgp.Established || first.EndOfRIB {
		t.Errorf("a reset session is %+v", first)
	}
}
