package speaker_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"fairlead.dev/bgp"
	"fairlead.dev/bgp/fake"
	"fairlead.dev/dataplane/nstest"
)

// subject is a speaker under the contract. Its only peer sends theirs4 and
// refused4, once it is asked to.
type subject struct {
	peer netip.Addr
	tell func(order) answer
	// send is called after the peer was configured.
	send func()
}

func TestContract(t *testing.T) {
	t.Parallel()
	t.Run("fake", func(t *testing.T) {
		t.Parallel()
		contract(t, fakeSubject(netip.MustParseAddr("192.0.2.1")))
	})
	for name, start := range routers {
		t.Run("GoBGP with "+name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, nstest.New(t, "node"), 1)
			start(t, w)
			contract(t, subject{peer: w.peer4, tell: startSpeaker(t, w.node).tell, send: func() {}})
		})
	}
}

func fakeSubject(peer netip.Addr) subject {
	s := fake.New()
	ctx := context.Background()
	return subject{
		peer: peer,
		tell: func(o order) answer {
			var err error
			switch {
			case o.Apply != nil:
				err = s.Apply(ctx, *o.Apply)
			case o.Leave:
				err = s.Leave(ctx)
			}
			var a answer
			if err != nil {
				a.Err = err.Error()
			}
			select {
			case <-s.Changes():
				a.Changed = true
			default:
			}
			if a.Routes, err = s.Routes(); err != nil {
				a.RouteErr = err.Error()
			}
			a.Sessions = s.Sessions()
			return a
		},
		send: func() {
			s.Establish(peer)
			s.Receive(peer, netip.MustParsePrefix(theirs4), peer)
			s.Receive(peer, netip.MustParsePrefix(refused4), peer)
			s.EndOfRIB(peer)
		},
	}
}

// contract is what the agent builds on.
func contract(t *testing.T, s subject) {
	if a := s.tell(order{}); a.RouteErr != bgp.ErrNotStarted.Error() || len(a.Sessions) != 0 {
		t.Errorf("before the first Apply: %+v", a)
	}
	if a := s.tell(order{Apply: &bgp.Config{}}); !strings.Contains(a.Err, bgp.ErrGlobal.Error()) {
		t.Errorf("an empty Config is answered by %q", a.Err)
	}

	bad := peer(netip.MustParseAddr("192.0.2.9"))
	bad.ASN = 0
	c := config(peer(s.peer), bad)
	a := s.tell(order{Apply: &c})
	if !strings.Contains(a.Err, "192.0.2.9") || !a.Changed || len(a.Sessions) != 1 || a.RouteErr != "" {
		t.Errorf("a bad peer beside a good one: %+v", a)
	}

	s.send()
	route := bgp.Route{Prefix: netip.MustParsePrefix(theirs4), NextHops: []netip.Addr{s.peer}, Peers: []netip.Addr{s.peer}}
	a = s.await(t, "routes, end-of-RIB", func(a answer) bool { return len(a.Routes) == 1 && a.Sessions[0].EndOfRIB })
	diff(t, []bgp.Route{route}, a.Routes)
	since := a.Sessions[0].Since

	c = config(peer(s.peer))
	if a = s.tell(order{Apply: &c}); a.Err != "" || a.Sessions[0].State != bgp.Established {
		t.Errorf("the same again: %+v", a)
	}
	s.settle(t)
	if a = s.tell(order{Apply: &c}); a.Changed {
		t.Error("applying the same again is a change")
	}

	c.Peers[0].Accept = prefixes("10.0.0.0/8")
	s.tell(order{Apply: &c})
	a = s.await(t, "the route refused before", func(a answer) bool { return len(a.Routes) == 2 })
	if !a.Sessions[0].Since.Equal(since) {
		t.Error("a wider Accept has reset the session")
	}
	c.Peers[0].Accept = nil
	s.tell(order{Apply: &c})
	a = s.await(t, "no route", func(a answer) bool { return len(a.Routes) == 0 })
	if !a.Sessions[0].Since.Equal(since) {
		t.Error("a narrower Accept has reset the session")
	}

	a = s.tell(order{Leave: true})
	if a.Err != "" || a.RouteErr != bgp.ErrNotStarted.Error() || len(a.Sessions) != 0 || !a.Changed {
		t.Errorf("after Leave: %+v", a)
	}
}

func (s subject) await(t *testing.T, what string, ok func(answer) bool) answer {
	t.Helper()
	return await(t, soon, what, func() answer { return s.tell(order{}) }, ok)
}

// settle looks until nothing changes any more.
func (s subject) settle(t *testing.T) {
	t.Helper()
	s.await(t, "no change between two looks", func(a answer) bool { return !a.Changed })
}
