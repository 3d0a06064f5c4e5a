package bgp_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fairlead.dev/bgp"
)

// same compares by value; an empty list is no different from none.
var same = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmpopts.EquateEmpty(),
}

// few makes collisions likely.
const few = 4

func randomConfig(r *rand.Rand) bgp.Config {
	c := bgp.Config{Global: bgp.Global{
		ASN: 1 + r.Uint32N(2), RouterID: netip.AddrFrom4([4]byte{10, 0, 0, 1}),
		ListenPort: 179, RestartTime: time.Duration(r.IntN(2)) * time.Minute, Restarting: r.IntN(2) == 0,
	}}
	for i := range few {
		if r.IntN(2) == 0 {
			c.Peers = append(c.Peers, randomPeer(r, i))
		}
	}
	for range r.IntN(2 * few) {
		c.Announce = append(c.Announce, randomPrefix(r))
	}
	return c
}

func randomPeer(r *rand.Rand, i int) bgp.Peer {
	p := bgp.Peer{
		Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}),
		Port:    uint16(r.IntN(2)), ASN: 1 + r.Uint32N(2), Multihop: r.IntN(2) == 0,
		Password: []string{"", "a"}[r.IntN(2)], Passive: r.IntN(2) == 0,
		HoldTime: time.Duration(3+r.IntN(2)) * time.Second, AllowLocalAS: r.IntN(2),
	}
	for range r.IntN(few) {
		p.Accept = append(p.Accept, randomPrefix(r))
	}
	return p
}

func randomPrefix(r *rand.Rand) netip.Prefix {
	if r.IntN(2) == 0 {
		return netip.MustParsePrefix(fmt.Sprintf("10.%d.0.0/%d", r.IntN(few), 16+r.IntN(2)))
	}
	return netip.MustParsePrefix(fmt.Sprintf("fd00:%d::/%d", r.IntN(few), 32+r.IntN(2)))
}

func sift(t *testing.T, c bgp.Config) bgp.Config {
	t.Helper()
	out, err := bgp.Sift(c)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestPatchOfDiffIsWant(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		a, b := sift(t, randomConfig(r)), sift(t, randomConfig(r))
		ops := bgp.Diff(a, b)
		if d := cmp.Diff(a, ops.Patch(b), same); d != "" {
			t.Fatalf("from %+v by %+v: -want +got:\n%s", b, ops, d)
		}
		if again := bgp.Diff(a, a); !again.Empty() {
			t.Fatalf("Diff(a, a) is %+v", again)
		}
		if equal := cmp.Equal(a, b, same, cmpopts.IgnoreFields(bgp.Global{}, "Restarting")); ops.Empty() != equal {
			t.Fatalf("Empty is %t of %+v and %+v", ops.Empty(), a, b)
		}
	}
}

func TestDiffOfAPeer(t *testing.T) {
	base := bgp.Peer{
		Address: netip.MustParseAddr("192.0.2.1"), ASN: 65001,
		Accept: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	}
	tests := map[string]struct {
		change          func(*bgp.Peer)
		update          bool
		reset, refilter bool
	}{
		"nothing":        {func(*bgp.Peer) {}, false, false, false},
		"AS number":      {func(p *bgp.Peer) { p.ASN++ }, true, true, false},
		"port":           {func(p *bgp.Peer) { p.Port = 1179 }, true, true, false},
		"multihop":       {func(p *bgp.Peer) { p.Multihop = true }, true, true, false},
		"password":       {func(p *bgp.Peer) { p.Password = "x" }, true, true, false},
		"passive":        {func(p *bgp.Peer) { p.Passive = true }, true, true, false},
		"allow local AS": {func(p *bgp.Peer) { p.AllowLocalAS = 1 }, true, true, false},
		"hold time":      {func(p *bgp.Peer) { p.HoldTime = 9 * time.Second }, true, false, false},
		"connect retry":  {func(p *bgp.Peer) { p.ConnectRetry = time.Second }, true, false, false},
		"accept": {func(p *bgp.Peer) {
			p.Accept = append(p.Accept, netip.MustParsePrefix("192.168.0.0/16"))
		}, true, false, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			changed := base
			test.change(&changed)
			global := bgp.Global{ASN: 1, RouterID: netip.MustParseAddr("10.0.0.1"), ListenPort: -1}
			want := sift(t, bgp.Config{Global: global, Peers: []bgp.Peer{changed}})
			ops := bgp.Diff(want, sift(t, bgp.Config{Global: global, Peers: []bgp.Peer{base}}))
			expect := bgp.Ops{Global: global}
			if test.update {
				expect.Update = []bgp.PeerUpdate{{Peer: want.Peers[0], Reset: test.reset, Refilter: test.refilter}}
			}
			if d := cmp.Diff(expect, ops, same); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

func TestDiffRestarts(t *testing.T) {
	have := bgp.Config{
		Global:   bgp.Global{ASN: 1, RouterID: netip.MustParseAddr("10.0.0.1"), ListenPort: 179, Restarting: true},
		Peers:    []bgp.Peer{{Address: netip.MustParseAddr("192.0.2.1"), ASN: 2}},
		Announce: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/26")},
	}
	want := have
	want.Global.Restarting = false
	if ops := bgp.Diff(want, have); !ops.Empty() {
		t.Errorf("a start that is over leads to %+v", ops)
	}
	want.Global.ASN = 3
	ops := bgp.Diff(want, have)
	if !ops.Restart || len(ops.Add) != 1 || len(ops.Announce) != 1 || len(ops.Delete)+len(ops.Withdraw) != 0 {
		t.Errorf("another AS number leads to %+v", ops)
	}
}
