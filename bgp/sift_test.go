package bgp_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/bgp"
)

var (
	goodGlobal = bgp.Global{ASN: 65101, RouterID: netip.MustParseAddr("10.0.0.1"), ListenPort: 179, RestartTime: 2 * time.Minute}
	goodPeer   = bgp.Peer{Address: netip.MustParseAddr("192.0.2.1"), ASN: 65001}
)

func TestSiftFillsInAndSorts(t *testing.T) {
	p := func(s string) netip.Prefix { return netip.MustParsePrefix(s) }
	second := goodPeer
	second.Address = netip.MustParseAddr("192.0.2.0")
	second.HoldTime, second.ConnectRetry = 8500*time.Millisecond, time.Millisecond
	second.Accept = []netip.Prefix{p("fd00::/8"), p("10.0.0.0/8"), p("10.0.0.0/8")}
	global := goodGlobal
	global.RestartTime = 90*time.Second + time.Nanosecond
	got, err := bgp.Sift(bgp.Config{
		Global: global, Peers: []bgp.Peer{goodPeer, second},
		Announce: []netip.Prefix{p("10.2.0.0/26"), p("10.1.0.0/26"), p("10.2.0.0/26")},
	})
	if err != nil {
		t.Fatal(err)
	}
	first := goodPeer
	first.HoldTime, first.Keepalive, first.ConnectRetry = 90*time.Second, 30*time.Second, 5*time.Second
	second.HoldTime, second.Keepalive, second.ConnectRetry = 9*time.Second, 3*time.Second, time.Second
	second.Accept = []netip.Prefix{p("10.0.0.0/8"), p("fd00::/8")}
	global.RestartTime = 91 * time.Second
	want := bgp.Config{
		Global: global, Peers: []bgp.Peer{second, first},
		Announce: []netip.Prefix{p("10.1.0.0/26"), p("10.2.0.0/26")},
	}
	if d := cmp.Diff(want, got, same); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestSiftRefusesAPeerAlone(t *testing.T) {
	tests := map[string]struct {
		change func(*bgp.Peer)
		want   string
	}{
		"no address":         {func(p *bgp.Peer) { p.Address = netip.Addr{} }, "not the address of a neighbour"},
		"mapped address":     {func(p *bgp.Peer) { p.Address = netip.MustParseAddr("::ffff:192.0.2.9") }, "not the address"},
		"multicast":          {func(p *bgp.Peer) { p.Address = netip.MustParseAddr("224.0.0.1") }, "not the address"},
		"no link":            {func(p *bgp.Peer) { p.Address = netip.MustParseAddr("fe80::1") }, "fe80::1%eth0"},
		"AS number 0":        {func(p *bgp.Peer) { p.ASN = 0 }, "AS number 0"},
		"long password":      {func(p *bgp.Peer) { p.Password = strings.Repeat("x", 81) }, "81 bytes"},
		"short hold time":    {func(p *bgp.Peer) { p.HoldTime = time.Second }, "hold time 1s"},
		"long hold time":     {func(p *bgp.Peer) { p.HoldTime = 19 * time.Hour }, "hold time 19h"},
		"long keepalive":     {func(p *bgp.Peer) { p.HoldTime, p.Keepalive = 9*time.Second, 9*time.Second }, "keepalive 9s"},
		"negative retry":     {func(p *bgp.Peer) { p.ConnectRetry = -time.Second }, "connect retry"},
		"negative local AS":  {func(p *bgp.Peer) { p.AllowLocalAS = -1 }, "allowLocalAS -1"},
		"uncanonical accept": {func(p *bgp.Peer) { p.Accept = []netip.Prefix{netip.MustParsePrefix("10.1.1.1/8")} }, "accept 10.1.1.1/8"},
		"twice":              {func(p *bgp.Peer) { p.Address = goodPeer.Address }, "wanted twice"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bad := goodPeer
			bad.Address = netip.MustParseAddr("192.0.2.9")
			test.change(&bad)
			got, err := bgp.Sift(bgp.Config{Global: goodGlobal, Peers: []bgp.Peer{goodPeer, bad}})
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "peer ") {
				t.Errorf("error is %v, want peer ...%s...", err, test.want)
			}
			if err != nil && bad.Password != "" && strings.Contains(err.Error(), bad.Password) {
				t.Errorf("the error tells the password: %v", err)
			}
			if len(got.Peers) != 1 || got.Peers[0].Address != goodPeer.Address {
				t.Errorf("peers are %+v, want the good one", got.Peers)
			}
		})
	}
}

func TestSiftRefusesAPrefixAlone(t *testing.T) {
	good, bad := netip.MustParsePrefix("10.1.0.0/26"), netip.MustParsePrefix("10.2.0.1/26")
	got, err := bgp.Sift(bgp.Config{Global: goodGlobal, Announce: []netip.Prefix{bad, good, {}}})
	if err == nil || !strings.Contains(err.Error(), "announce 10.2.0.1/26") {
		t.Errorf("error is %v", err)
	}
	if d := cmp.Diff([]netip.Prefix{good}, got.Announce, same); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestSiftRefusesGlobals(t *testing.T) {
	tests := map[string]func(*bgp.Global){
		"AS number 0":  func(g *bgp.Global) { g.ASN = 0 },
		"no router ID": func(g *bgp.Global) { g.RouterID = netip.Addr{} },
		"IPv6 as ID":   func(g *bgp.Global) { g.RouterID = netip.MustParseAddr("fd00::1") },
		"0.0.0.0":      func(g *bgp.Global) { g.RouterID = netip.IPv4Unspecified() },
		"port 0":       func(g *bgp.Global) { g.ListenPort = 0 },
		"port 65536":   func(g *bgp.Global) { g.ListenPort = 65536 },
		"restart time": func(g *bgp.Global) { g.RestartTime = 4096 * time.Second },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			global := goodGlobal
			change(&global)
			got, err := bgp.Sift(bgp.Config{Global: global, Peers: []bgp.Peer{goodPeer}})
			if !errors.Is(err, bgp.ErrGlobal) || len(got.Peers) != 0 {
				t.Errorf("got %+v, %v, want ErrGlobal", got, err)
			}
		})
	}
	global := goodGlobal
	global.ListenPort = -1
	if _, err := bgp.Sift(bgp.Config{Global: global}); err != nil {
		t.Errorf("listening nowhere: %v", err)
	}
}
