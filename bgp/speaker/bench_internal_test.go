package speaker

import (
	"context"
	"log/slog"
	"net/netip"
	"testing"

	"fairlead.dev/bgp"
)

// benchRoutes is how many routes the benchmark lists.
const benchRoutes = 100_000

// BenchmarkRoutes lists paths as if a peer had sent them.
func BenchmarkRoutes(b *testing.B) {
	s, err := New(Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	e, err := s.start(b.Context(), bgp.Global{ASN: 65001, RouterID: netip.MustParseAddr("192.0.2.1"), ListenPort: -1})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = e.stop(context.Background()) })
	for i := range benchRoutes {
		n := 10<<24 | i<<6
		if err := e.announce(b.Context(), netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), 26)); err != nil {
			b.Fatal(err)
		}
	}
	neighbours := map[string]neighbour{"<nil>": {Peer: bgp.Peer{Address: netip.MustParseAddr("192.0.2.2"), ASN: 65002}, alone: []netip.Addr{netip.MustParseAddr("192.0.2.2")}}}
	b.ReportAllocs()
	for b.Loop() {
		l, err := e.list(b.Context(), neighbours)
		if err != nil || len(l.routes) != benchRoutes {
			b.Fatal(len(l.routes), err)
		}
	}
}
