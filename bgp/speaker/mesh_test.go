package speaker_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"fairlead.dev/bgp"
	"fairlead.dev/dataplane/nstest"
)

func nodeNS(t *testing.T) nstest.NS {
	t.Helper()
	return nstest.New(t, "node")
}

// kind is the router of a subtest of each.
func kind(t *testing.T) string { return t.Name()[strings.LastIndex(t.Name(), "/")+1:] }

func TestMeshOfTwo(t *testing.T) {
	t.Parallel()
	for name, asn := range map[string]uint32{"internal": ourASN, "external": ourASN + 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, nodeNS(t), 1)
			left, right := startSpeaker(t, w.node), startSpeaker(t, w.peer)

			l := config(meshPeer(w.peer4, asn, true, "10.65.64.0/26"), meshPeer(w.peer6, asn, true, "fd65::1000/122"))
			r := config(meshPeer(w.node4, ourASN, false, ours4), meshPeer(w.node6, ourASN, false, ours6))
			r.Global.ASN, r.Global.RouterID = asn, netip.MustParseAddr("10.255.0.2")
			// The third is nobody's, so that nobody may have it.
			r.Announce = prefixes("10.65.64.0/26", "10.65.128.0/26", "fd65::1000/122")
			left.apply(l)
			right.apply(r)
			left.established(soon)
			right.established(soon)

			has := func(n int) func(answer) bool {
				return func(a answer) bool { return len(a.Routes) == n && a.Sessions[0].EndOfRIB && a.Sessions[1].EndOfRIB }
			}
			a := left.await(soon, "routes of the right node", has(2))
			diff(t, []bgp.Route{
				{Prefix: netip.MustParsePrefix("10.65.64.0/26"), NextHops: []netip.Addr{w.peer4}, Peers: []netip.Addr{w.peer4}},
				{Prefix: netip.MustParsePrefix("fd65::1000/122"), NextHops: []netip.Addr{w.peer6}, Peers: []netip.Addr{w.peer6}},
			}, a.Routes)
			a = right.await(soon, "routes of the left node", has(2))
			diff(t, []netip.Addr{w.node4}, a.Routes[0].NextHops)

			r.Announce = r.Announce[1:]
			right.apply(r)
			left.await(soon, "one route gone", has(1))
			// The lease of what was refused comes late.
			l.Peers[0].Accept = prefixes("10.65.128.0/26")
			left.apply(l)
			left.await(soon, "the late route", has(2))
		})
	}
}

func meshPeer(a netip.Addr, asn uint32, passive bool, accept string) bgp.Peer {
	return bgp.Peer{
		Address: a, ASN: asn, Passive: passive, Accept: prefixes(accept),
		HoldTime: 9 * time.Second, ConnectRetry: time.Second,
	}
}

// TestMultihop puts a router between two nodes of different AS numbers.
func TestMultihop(t *testing.T) {
	t.Parallel()
	middle := nstest.New(t, "middle")
	left := joinWire(t, middle, nodeNS(t), 1)
	right := joinWire(t, middle, nodeNS(t), 2)
	middle.Run(t, "sysctl", "-qw", "net.ipv4.ip_forward=1")
	run(t, "ip", "-n", left.peer.Name, "route", "add", "default", "via", left.node4.String())
	run(t, "ip", "-n", right.peer.Name, "route", "add", "default", "via", right.node4.String())

	l, r := startSpeaker(t, left.peer), startSpeaker(t, right.peer)
	near, far := config(meshPeer(right.peer4, ourASN+1, false, ours4)), config(meshPeer(left.peer4, ourASN, true, ours4))
	far.Global.ASN, far.Global.RouterID = ourASN+1, netip.MustParseAddr("10.255.0.2")
	far.Peers[0].Multihop = true
	r.apply(far)
	l.apply(near)
	l.fails(right.peer4.String())
	near.Peers[0].Multihop = true
	l.apply(near)
	l.established(soon)
}
