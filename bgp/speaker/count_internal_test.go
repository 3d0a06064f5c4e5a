package speaker

import (
	"log/slog"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	"github.com/osrg/gobgp/v3/pkg/server"

	"fairlead.dev/bgp"
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

// Who asks for routes again, while nothing has changed, is told what was listed.
func TestOneListingWhileNothingChanges(t *testing.T) {
	s := &Speaker{
		opts: Options{Logger: slog.New(slog.DiscardHandler)}, changes: make(chan struct{}, 1),
		turned: make(chan struct{}, 1), gate: make(chan struct{}, 1),
	}
	e, err := s.start(t.Context(), bgp.Global{ASN: testASN, RouterID: netip.MustParseAddr("192.0.2.9"), ListenPort: -1})
	if err != nil {
		t.Fatal(err)
	}
	s.engine = e
	defer func() {
		if err := s.Leave(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	// lists says whether to ask made a listing, and undoes what f did.
	lists := func(f func()) bool {
		t.Helper()
		if err := s.enter(t.Context()); err != nil { // so that none is made ahead
			t.Fatal(err)
		}
		defer s.leave()
		if _, err := e.routes(t.Context()); err != nil {
			t.Fatal(err)
		}
		f()
		before := e.listed.at
		if _, err := e.routes(t.Context()); err != nil {
			t.Fatal(err)
		}
		return !e.listed.at.Equal(before)
	}
	if lists(func() {}) {
		t.Error("a RIB that has not changed was listed again")
	}
	if !lists(s.changed) {
		t.Error("a change was not listed")
	}
	if !lists(func() { e.listed.at = e.listed.at.Add(-listingAge) }) {
		t.Error("an old listing was not renewed")
	}
	if !lists(func() { e.listed.back = 1 }) {
		t.Error("stale paths that time has made void were not left out")
	}
	ahead := func() bool {
		if err := s.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer s.leave()
		return e.listed.turn == s.turns.Load()
	}
	s.changed()
	for deadline := time.After(10 * time.Second); !ahead(); {
		select {
		case <-deadline:
			t.Fatal("no listing is made ahead")
		case <-time.After(time.Millisecond):
		}
	}
}
