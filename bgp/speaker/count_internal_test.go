package speaker

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	"github.com/osrg/gobgp/v3/pkg/server"
)

// Sessions do not list the RIB again that was listed for the routes.
func TestOneListingForRoutesAndSessions(t *testing.T) {
	ctx := t.Context()
	var turns atomic.Uint64
	e := &engine{server: server.NewBgpServer(), turns: &turns}
	go e.server.Serve()
	if err := e.server.StartBgp(ctx, &api.StartBgpRequest{Global: &api.Global{Asn: testASN, RouterId: "192.0.2.9", ListenPort: -1}}); err != nil {
		t.Fatal(err)
	}
	defer e.server.Stop()
	learn := func(prefix string) {
		t.Helper()
		if err := e.announce(ctx, netip.MustParsePrefix(prefix)); err != nil {
			t.Fatal(err)
		}
	}
	check := func(when string, want int64) {
		t.Helper()
		var got int64
		for _, n := range e.accepted(ctx) {
			got += n
		}
		if got != want {
			t.Errorf("%s: %d paths are counted, want %d", when, got, want)
		}
	}
	list := func() {
		t.Helper()
		if _, err := e.routes(ctx); err != nil {
			t.Fatal(err)
		}
	}
	learn("10.1.0.0/24")
	check("before any listing", 1)
	learn("10.2.0.0/24")
	check("while nothing is told of a change", 1)
	turns.Add(1)
	check("after a change", 2)
	learn("fd00::/64")
	turns.Add(1)
	list()
	learn("10.3.0.0/24")
	turns.Add(1)
	check("soon after routes were listed", 3)
	e.counts.until = time.Now()
	check("later", 4)
}
