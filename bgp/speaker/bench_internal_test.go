package speaker

import (
	"net/netip"
	"testing"
)

// benchRoutes is how many routes the benchmark lists.
const benchRoutes = 100_000

// BenchmarkRoutes lists paths as if a peer had sent them.
func BenchmarkRoutes(b *testing.B) {
	e := lister(b)
	for i := range benchRoutes {
		n := 10<<24 | i<<6
		if err := e.announce(b.Context(), netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), 26)); err != nil {
			b.Fatal(err)
		}
	}
	in := learner(e)
	b.ReportAllocs()
	for b.Loop() {
		all, err := e.read(b.Context(), in, nil)
		if err != nil {
			b.Fatal(err)
		}
		t := newTable()
		t.patch(all)
		if len(t.routes) != benchRoutes {
			b.Fatal(len(t.routes))
		}
	}
}
