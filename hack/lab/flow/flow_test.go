package flow

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/dataplane/nstest"
)

func TestTally(t *testing.T) {
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	tally := tally{sources: map[netip.Addr]int{}}
	for _, n := range []uint64{0, 1, 4, 3, 4, 70} {
		from := a
		if n == 3 {
			from = b
		}
		tally.note(n, from)
	}
	want := Count{
		Sent: 72, Received: 5, Duplicated: 1, Reordered: 1,
		Gaps: []Gap{{2, 2}, {5, 69}, {71, 71}}, Sources: map[netip.Addr]int{a: 4, b: 1},
	}
	if d := cmp.Diff(want, tally.count(72)); d != "" {
		t.Errorf("count (-want +got):\n%s", d)
	}
}

// enough packets for a second of a flow.
const enough = 10_000

// path is two namespaces with a third between them, which forwards.
func path(t *testing.T) (from, between, to nstest.NS) {
	from, between, to = nstest.New(t, "from"), nstest.New(t, "between"), nstest.New(t, "to")
	between.Run(t, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
	for _, ns := range []nstest.NS{from, between, to} {
		ns.Run(t, "sysctl", "-q", "-w", "net.ipv6.conf.default.accept_dad=0") // usable at once
	}
	for i, end := range []nstest.NS{from, to} {
		link, v4, v6 := []string{"near", "far"}[i], []string{"192.0.2.", "198.51.100."}[i], []string{"fd00:1::", "fd00:2::"}[i]
		between.Run(t, "ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", end.Name)
		for _, side := range []struct {
			ns   nstest.NS
			link string
			host string
		}{{between, link, "1"}, {end, "eth0", "2"}} {
			side.ns.Run(t, "ip", "addr", "add", v4+side.host+"/24", "dev", side.link)
			side.ns.Run(t, "ip", "addr", "add", v6+side.host+"/64", "dev", side.link, "nodad")
			side.ns.Run(t, "ip", "link", "set", side.link, "up")
		}
		end.Run(t, "ip", "route", "add", "default", "via", v4+"1")
		end.Run(t, "ip", "route", "add", "default", "via", v6+"1")
	}
	return from, between, to
}

func start(t *testing.T, way Way) *Flow {
	t.Helper()
	f, err := Start(t.Context(), way)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *Flow) await(t *testing.T, packets int64) {
	t.Helper()
	if err := f.Await(t.Context(), packets); err != nil {
		t.Fatal(err)
	}
}

func (f *Flow) end(t *testing.T) Count {
	t.Helper()
	c, err := f.Stop()
	if err != nil {
		t.Fatal(err)
	}
	t.Log(c)
	return c
}

// An undisturbed flow loses nothing but what the machine's own queues drop.
func TestQuiet(t *testing.T) {
	from, _, to := path(t)
	for _, target := range []string{"198.51.100.2", "fd00:2::2"} {
		f := start(t, Way{From: from, To: to, Target: netip.AddrPortFrom(netip.MustParseAddr(target), 0)})
		f.await(t, enough)
		c := f.end(t)
		if c.Sent < enough || c.Lost() > c.Overrun || c.Duplicated != 0 || c.Refused != nil {
			t.Errorf("to %s: %v", target, c)
		}
		source := netip.MustParseAddr(map[bool]string{true: "192.0.2.2", false: "fd00:1::2"}[f.way.Target.Addr().Is4()])
		if len(c.Sources) != 1 || c.Sources[source] != c.Received {
			t.Errorf("to %s: seen from %v, want %s alone", target, c.Sources, source)
		}
		if _, err := f.Stop(); err == nil {
			t.Error("a second Stop counted again")
		}
	}
}

// A disturbed flow says so: the road is closed for a while, packets are doubled,
// and their source is another from then on.
func TestDisturbed(t *testing.T) {
	from, between, to := path(t)
	target := netip.MustParseAddr("198.51.100.2")
	f := start(t, Way{From: from, To: to, Target: netip.AddrPortFrom(target, 0)})
	f.await(t, 1000)
	between.Run(t, "ip", "route", "add", "blackhole", "198.51.100.2/32")
	between.Run(t, "ip", "route", "del", "blackhole", "198.51.100.2/32")
	f.await(t, 1000)
	if c := f.end(t); c.Lost() <= c.Overrun || len(c.Gaps) == 0 {
		t.Errorf("closed road: %v", c)
	}

	from.Run(t, "nft", "add table ip doubled; add chain ip doubled out { type filter hook output priority 0; }; add rule ip doubled out dup to 192.0.2.1")
	f = start(t, Way{From: from, To: to, Target: netip.AddrPortFrom(target, 0)})
	f.await(t, 1000)
	from.Run(t, "nft", "delete", "table", "ip", "doubled")
	if c := f.end(t); c.Duplicated < 1000-c.Overrun {
		t.Errorf("doubled: %v", c)
	}

	between.Run(t, "nft", "add table ip shift; add chain ip shift nat { type nat hook postrouting priority 100; }; add rule ip shift nat masquerade")
	f = start(t, Way{From: from, To: to, Target: netip.AddrPortFrom(target, 0), Port: 7000})
	f.await(t, 1000)
	if c := f.end(t); c.Sources[netip.MustParseAddr("198.51.100.1")] != c.Received {
		t.Errorf("translated: seen from %v", c.Sources)
	}
}

func TestRefused(t *testing.T) {
	from, _, to := path(t)
	from.Run(t, "ip", "route", "del", "default")
	f := start(t, Way{From: from, To: to, Target: netip.MustParseAddrPort("198.51.100.2:7000")})
	if c := f.end(t); c.Refused == nil || c.Received != 0 || c.Sent == 0 {
		t.Errorf("without a route: %v", c)
	}
}

// Connection tracking takes a flow for established once it was answered.
func TestAnswered(t *testing.T) {
	from, between, to := path(t)
	between.Run(t, "nft", "add table inet watch; add chain inet watch way { type filter hook forward priority 0; }; "+
		"add rule inet watch way ct state established counter")
	for _, answered := range []bool{false, true} {
		f := start(t, Way{From: from, To: to, Target: netip.MustParseAddrPort("198.51.100.2:0"), Answered: answered})
		f.await(t, 100)
		f.end(t)
		rules := between.Run(t, "nft", "list", "table", "inet", "watch")
		if nobody := strings.Contains(rules, "packets 0"); nobody == answered {
			t.Errorf("answered %v:\n%s", answered, rules)
		}
	}
}
