package speaker_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"fairlead.dev/bgp"
	"fairlead.dev/dataplane/nstest"
)

// AS numbers of us and of the routers.
const (
	ourASN  = 65101
	peerASN = 4200000001
)

// What every router of these tests originates, and what we do.
const (
	theirs4, refused4 = "10.200.1.0/24", "10.66.0.0/16"
	theirs6, refused6 = "fd20:1::/64", "fd66::/48"
	ours4, ours6      = "10.65.0.0/26", "fd65::/122"
)

// config of a speaker with short timers.
func config(peers ...bgp.Peer) bgp.Config {
	return bgp.Config{
		Global: bgp.Global{
			ASN: ourASN, RouterID: netip.MustParseAddr("10.255.0.1"),
			ListenPort: 179, RestartTime: 30 * time.Second,
		},
		Peers:    peers,
		Announce: prefixes(ours4, ours6),
	}
}

// peer accepts the range that theirs4 and theirs6 lie in.
func peer(a netip.Addr) bgp.Peer {
	return bgp.Peer{
		Address: a, ASN: peerASN,
		HoldTime: 9 * time.Second, Keepalive: 3 * time.Second, ConnectRetry: time.Second,
		Accept: prefixes("10.200.0.0/16", "fd20::/16"),
	}
}

func prefixes(ss ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range ss {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// frrConfig is a router that has both families with us as neighbours.
func frrConfig(w wire, asn uint32, extra ...string) string {
	lines := strings.Join(extra, "\n ")
	return fmt.Sprintf(`router bgp %d
 bgp router-id %s
 no bgp ebgp-requires-policy
 no bgp network import-check
 neighbor %s remote-as %d
 neighbor %s timers 3 9
 neighbor %s timers connect 1
 neighbor %s remote-as %d
 neighbor %s timers 3 9
 neighbor %s timers connect 1
 %s
 address-family ipv4 unicast
  network %s
  network %s
  no neighbor %s activate
 exit-address-family
 address-family ipv6 unicast
  network %s
  network %s
  neighbor %s activate
 exit-address-family
`, asn, w.peer4, w.node4, ourASN, w.node4, w.node4, w.node6, ourASN, w.node6, w.node6, lines,
		theirs4, refused4, w.node6, theirs6, refused6, w.node6)
}

// birdConfig is the same with BIRD.
func birdConfig(w wire, asn uint32, extra ...string) string {
	lines := strings.Join(extra, " ")
	return fmt.Sprintf(`router id %s;
protocol device { scan time 2; }
protocol kernel { ipv4 { export all; }; }
protocol kernel { ipv6 { export all; }; }
protocol static { ipv4; route %s blackhole; route %s blackhole; }
protocol static { ipv6; route %s blackhole; route %s blackhole; }
template bgp node { hold time 9; connect retry time 1; connect delay time 1; error wait time 1, 2; %s }
protocol bgp node4 from node { local as %d; neighbor %s as %d; ipv4 { import all; export where source = RTS_STATIC; }; }
protocol bgp node6 from node { local as %d; neighbor %s as %d; ipv6 { import all; export where source = RTS_STATIC; }; }
`, w.peer4, theirs4, refused4, theirs6, refused6, lines, asn, w.node4, ourASN, asn, w.node6, ourASN)
}

// routers are the two kinds, each to be started with its usual configuration.
var routers = map[string]func(*testing.T, wire, ...string) router{
	"FRR": func(t *testing.T, w wire, extra ...string) router {
		return startFRR(t, w.peer, frrConfig(w, peerASN, extra...))
	},
	"BIRD": func(t *testing.T, w wire, extra ...string) router {
		return startBIRD(t, w.peer, birdConfig(w, peerASN, extra...))
	},
}

// each runs a test with both kinds, in parallel.
func each(t *testing.T, test func(t *testing.T, w wire, start func(...string) router)) {
	t.Parallel()
	for name, start := range routers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, nstest.New(t, "node"), 1)
			test(t, w, func(extra ...string) router { return start(t, w, extra...) })
		})
	}
}

func TestSession(t *testing.T) {
	each(t, func(t *testing.T, w wire, start func(...string) router) {
		r := start()
		s := startSpeaker(t, w.node)
		s.apply(config(peer(w.peer4), peer(w.peer6)))
		s.established(soon)

		a := s.await(soon, "routes and end-of-RIB", func(a answer) bool {
			return len(a.Routes) == 2 && a.Sessions[0].EndOfRIB && a.Sessions[1].EndOfRIB
		})
		want := []bgp.Route{
			{Prefix: netip.MustParsePrefix(theirs4), NextHops: []netip.Addr{w.peer4}, Peers: []netip.Addr{w.peer4}},
			{Prefix: netip.MustParsePrefix(theirs6), NextHops: []netip.Addr{w.peer6}, Peers: []netip.Addr{w.peer6}},
		}
		diff(t, want, a.Routes)
		for _, session := range a.Sessions {
			if session.Received < 2 || session.Accepted != 1 || session.Advertised != 1 {
				t.Errorf("counts of %s are %d received, %d accepted, %d advertised, want at least 2, 1, 1",
					session.Address, session.Received, session.Accepted, session.Advertised)
			}
			if age := time.Since(session.Since); age < 0 || age > later {
				t.Errorf("session with %s is %s old", session.Address, age)
			}
			if session.LastError != "" {
				t.Errorf("LastError of an established session is %q", session.LastError)
			}
		}
		eventually(t, soon, "the router has our prefixes from us", func() (bool, string) {
			seen := r.show(ours4) + r.show(ours6)
			return strings.Contains(seen, w.node4.String()) && strings.Contains(seen, w.node6.String()), seen
		})
		if seen := r.show(theirs4); strings.Contains(seen, "4200000001 65101") {
			t.Errorf("the router got its own prefix back:\n%s", seen)
		}
	})
}
