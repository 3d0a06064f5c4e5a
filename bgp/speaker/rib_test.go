package speaker_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"fairlead.dev/bgp"
)

func TestECMP(t *testing.T) {
	t.Parallel()
	node := nodeNS(t)
	f, b := newWire(t, node, 1), newWire(t, node, 2)
	tor1 := startFRR(t, f.peer, frrConfig(f, peerASN))
	startBIRD(t, b.peer, birdConfig(b, peerASN, "graceful restart on;"))
	s := startSpeaker(t, node)
	s.apply(config(peer(f.peer4), peer(b.peer4), peer(f.peer6), peer(b.peer6)))
	hops := func(n int) func(answer) bool {
		return func(a answer) bool {
			return len(a.Routes) == 2 && len(a.Routes[0].NextHops) == n && len(a.Routes[1].NextHops) == n
		}
	}
	a := s.await(soon, "two next hops", hops(2))
	diff(t, []bgp.Route{
		{Prefix: netip.MustParsePrefix(theirs4), NextHops: []netip.Addr{f.peer4, b.peer4}, Peers: []netip.Addr{f.peer4, b.peer4}},
		{Prefix: netip.MustParsePrefix(theirs6), NextHops: []netip.Addr{f.peer6, b.peer6}, Peers: []netip.Addr{f.peer6, b.peer6}},
	}, a.Routes)
	for _, session := range a.Sessions {
		if session.Accepted != 1 {
			t.Errorf("%d routes of %s accepted, want 1", session.Accepted, session.Address)
		}
	}
	tor1.stop()
	a = s.await(soon, "one next hop", hops(1))
	diff(t, []netip.Addr{b.peer4}, a.Routes[0].NextHops)
	if a.Routes[0].Stale || a.Routes[1].Stale {
		t.Errorf("routes of the peer that is left are stale: %+v", a.Routes)
	}
	tor1.start()
	s.await(later, "two next hops again", hops(2))
}

func TestWithdraw(t *testing.T) {
	each(t, func(t *testing.T, w wire, start func(...string) router) {
		start()
		c := config(peer(w.peer4), peer(w.peer6))
		s := startSpeaker(t, w.node)
		s.apply(c)
		kernelHas(t, w.peer, ours4)
		kernelHas(t, w.peer, ours6)
		since := s.look().Sessions[0].Since

		const more = "10.65.0.64/26"
		c.Announce = append(prefixes(ours6), prefixes(more)...)
		s.apply(c)
		kernelHas(t, w.peer, more)
		kernelLoses(t, w.peer, ours4)
		kernelHas(t, w.peer, ours6)
		if now := s.look().Sessions[0]; !now.Since.Equal(since) || now.Advertised != 1 {
			t.Errorf("session is %+v, want that of before", now)
		}
		c.Announce = nil
		s.apply(c)
		kernelLoses(t, w.peer, more)
		kernelLoses(t, w.peer, ours6)
	})
}

// TestWithdrawSentBack has two routers of one AS, of which the first sends our own
// announcements back to us, and we take paths with our AS in them. What we
// withdraw is withdrawn from both.
func TestWithdrawSentBack(t *testing.T) {
	t.Parallel()
	node := nodeNS(t)
	f, b := newWire(t, node, 1), newWire(t, node, 2)
	mirror := startFRR(t, f.peer, frrConfig(f, peerASN))
	startBIRD(t, b.peer, birdConfig(b, peerASN))
	s := startSpeaker(t, node)
	var peers []bgp.Peer
	for _, a := range []netip.Addr{f.peer4, b.peer4, f.peer6, b.peer6} {
		p := peer(a)
		p.AllowLocalAS = 1
		p.Accept = prefixes("10.0.0.0/8", "fd00::/8")
		peers = append(peers, p)
	}
	c := config(peers...)
	s.apply(c)
	s.await(soon, "own prefixes sent back", func(a answer) bool {
		for _, session := range a.Sessions {
			if session.Address == f.peer4 && session.Received < 3 {
				return false
			}
		}
		return len(a.Sessions) == 4
	})
	for _, own := range []string{ours4, ours6} {
		kernelHas(t, f.peer, own)
		kernelHas(t, b.peer, own)
	}
	for _, r := range s.look().Routes {
		if r.Prefix == netip.MustParsePrefix(ours4) {
			t.Errorf("our own prefix is a route learned from %v", r.Peers)
		}
	}
	c.Announce = nil
	s.apply(c)
	for _, own := range []string{ours4, ours6} {
		kernelLoses(t, f.peer, own)
		kernelLoses(t, b.peer, own)
	}
	// What was ours may be somebody else's later.
	mirror.vtysh("configure terminal", fmt.Sprintf("router bgp %d", peerASN), "address-family ipv4 unicast", "network "+ours4)
	s.await(soon, "what was ours of another", func(a answer) bool {
		for _, r := range a.Routes {
			if r.Prefix == netip.MustParsePrefix(ours4) {
				return true
			}
		}
		return false
	})
}

func TestAllowLocalAS(t *testing.T) {
	const loop = "address-family ipv4 unicast\n  neighbor 10.1.0.1 route-map LOOP out\n exit-address-family"
	each(t, func(t *testing.T, w wire, _ func(...string) router) {
		if kind(t) == "FRR" {
			startFRR(t, w.peer, frrConfig(w, peerASN, loop)+"route-map LOOP permit 10\n set as-path prepend 65101\n")
		} else {
			startBIRD(t, w.peer, strings.ReplaceAll(birdConfig(w, peerASN), "export where source = RTS_STATIC;",
				"export filter { if source != RTS_STATIC then reject; bgp_path.prepend(65101); accept; };"))
		}
		s := startSpeaker(t, w.node)
		p := peer(w.peer4)
		s.apply(config(p))
		// FRR takes a route map that it reads after the neighbour seconds later.
		a := s.await(soon, "prefixes", func(a answer) bool { return a.Sessions[0].Received > 0 })
		if len(a.Routes) != 0 || a.Sessions[0].Accepted != 0 {
			t.Errorf("a path with our own AS: %+v", a)
		}
		p.AllowLocalAS = 1
		s.apply(config(p))
		s.await(soon, "the route", func(a answer) bool { return len(a.Routes) == 1 })
	})
}

// TestTimers reads from the router what was negotiated.
func TestTimers(t *testing.T) {
	says := map[string][]string{
		"FRR":  {"Hold time is 6 seconds, keepalive interval is 2 seconds", "Received Restart Time(sec): 77"},
		"BIRD": {"Hold timer:", "/6", "Restart time: 77"},
	}
	each(t, func(t *testing.T, w wire, start func(...string) router) {
		r := start()
		p := peer(w.peer4)
		p.HoldTime, p.Keepalive = 6*time.Second, 2*time.Second
		c := config(p)
		c.Global.RestartTime = 77 * time.Second
		s := startSpeaker(t, w.node)
		s.apply(c)
		since := s.established(soon).Sessions[0].Since
		eventually(t, soon, "the router has our timers", func() (bool, string) {
			seen := r.session(w.node4)
			for _, text := range says[kind(t)] {
				if !strings.Contains(seen, text) {
					return false, "no " + text + " in " + seen
				}
			}
			return true, seen
		})

		// Others wait for the next session.
		c.Peers[0].HoldTime, c.Peers[0].Keepalive = 8*time.Second, 2*time.Second
		for range 2 {
			s.apply(c)
			if now := s.look().Sessions[0]; !now.Since.Equal(since) {
				t.Fatal("new timers have reset the session")
			}
		}
		r.stop()
		s.await(soon, "session down", func(a answer) bool { return a.Sessions[0].State != bgp.Established })
		s.apply(c)
		r.(interface{ start() }).start()
		s.established(later)
		eventually(t, soon, "the router has the new timers", func() (bool, string) {
			seen := r.session(w.node4)
			return strings.Contains(seen, "/8") || strings.Contains(seen, "Hold time is 8"), seen
		})
	})
}
