package lab

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fairlead.dev/hack/lab/topology"
)

var addresses = cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func TestFRRSessions(t *testing.T) {
	var summary frrSummary
	text := `{"routerId":"172.29.0.1","peers":{
		"172.16.1.11":{"remoteAs":65101,"pfxRcd":1,"state":"Established","peerUptimeMsec":2500,"dynamicPeer":true},
		"172.30.0.0":{"remoteAs":65000,"pfxRcd":0,"state":"Active"}}}`
	if err := json.Unmarshal([]byte(text), &summary); err != nil {
		t.Fatal(err)
	}
	got, err := summary.sessions(topology.V4)
	if err != nil {
		t.Fatal(err)
	}
	want := []Session{
		{Neighbour: addr("172.16.1.11"), ASN: 65101, Family: topology.V4, State: Established, Received: 1, Up: 2500 * time.Millisecond},
		{Neighbour: addr("172.30.0.0"), ASN: 65000, Family: topology.V4, State: "Active"},
	}
	byNeighbour := cmpopts.SortSlices(func(a, b Session) bool { return a.Neighbour.Less(b.Neighbour) })
	if d := cmp.Diff(want, got, addresses, byNeighbour); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestFRRRoutes(t *testing.T) {
	var table frrTable
	text := `{"routes":{"fd00:10:244::100/122":[
		{"valid":true,"bestpath":true,"path":"65000 65001 65101","nexthops":[
			{"ip":"fd00:172:30::4","afi":"ipv6","scope":"global"},{"ip":"fe80::1","afi":"ipv6","scope":"link-local","used":true}]},
		{"valid":true,"multipath":true,"stale":true,"path":"","nexthops":[{"ip":"fd00:172:30::84","scope":"global"}]}]}}`
	if err := json.Unmarshal([]byte(text), &table); err != nil {
		t.Fatal(err)
	}
	got, err := table.routes()
	if err != nil {
		t.Fatal(err)
	}
	want := []RIBRoute{{Prefix: netip.MustParsePrefix("fd00:10:244::100/122"), Paths: []RIBPath{
		{NextHop: addr("fd00:172:30::4"), ASPath: []uint32{65000, 65001, 65101}, Best: true},
		{NextHop: addr("fd00:172:30::84"), Multipath: true, Stale: true},
	}}}
	if d := cmp.Diff(want, got, addresses); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestBIRDProtocols(t *testing.T) {
	got, err := parseBIRDProtocols(`BIRD 2.0.12 ready.
Name       Proto      Table      State  Since         Info
device1    Device     ---        up     06:10:46.911  

nodes4     BGP        ---        start  06:10:46.911  Passive       
  Description:    nodes of r1
  BGP state:          Passive
    Neighbor range:   172.16.1.0/24
    Neighbor AS:      65101

nodes4_01  BGP        ---        up     06:10:47.911  Established   
  BGP state:          Established
    Neighbor address: 172.16.1.11
    Neighbor AS:      65101
    Local AS:         65001
    Neighbor capabilities
      Graceful restart
        Restart time: 60
  Channel ipv4
    State:          UP
    Routes:         1 imported, 2 filtered, 5 exported, 1 preferred

s1_v4      BGP        ---        start  06:10:46.911  Active        Socket: Connection refused
  BGP state:          Active
    Neighbor address: fd00:172:30::2
    Neighbor AS:      65000
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []Session{
		{Neighbour: addr("172.16.1.11"), ASN: 65101, Family: topology.V4, State: Established, Received: 1},
		{Neighbour: addr("fd00:172:30::2"), ASN: 65000, Family: topology.V6, State: "Active"},
	}
	if d := cmp.Diff(want, got, addresses); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestBIRDRoutes(t *testing.T) {
	got, err := parseBIRDRoutes("BIRD 2.0.12 ready.\nTable master6:\n" +
		"fd00:10:244::100/122 unicast [s1_v6 06:10:47.911] * (100) [AS65101i]\n" +
		"\tvia fd00:172:30::2 on s1\n\tType: BGP univ\n\tBGP.as_path: 65000 65001 65101\n" +
		"\tBGP.next_hop: fd00:172:30::2 fe80::9\n" +
		"                     unicast [s2_v6 06:10:47.911] (100) [AS65101i]\n" +
		"\tBGP.as_path: 65000\n\tBGP.next_hop: fd00:172:30::82\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []RIBRoute{{Prefix: netip.MustParsePrefix("fd00:10:244::100/122"), Paths: []RIBPath{
		{NextHop: addr("fd00:172:30::2"), ASPath: []uint32{65000, 65001, 65101}, Best: true},
		{NextHop: addr("fd00:172:30::82"), ASPath: []uint32{65000}},
	}}}
	if d := cmp.Diff(want, got, addresses); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for _, bad := range []string{"\tBGP.as_path: 1\n", " x [y\n", "nonsense [y\n", "10.0.0.0/8 [y] (1)\n\tBGP.as_path: x\n"} {
		if _, err := parseBIRDRoutes(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestKernelRoutes(t *testing.T) {
	got, err := parseKernelRoutes([]byte(`[
		{"type":"unicast","dst":"default","protocol":"boot","flags":[],"nexthops":[{"gateway":"172.16.1.2","dev":"eth0"},{"gateway":"172.16.1.1","dev":"eth0"}]},
		{"type":"blackhole","dst":"10.244.0.0/26","protocol":"170","flags":[]},
		{"type":"unicast","dst":"10.244.0.1","dev":"flabc","protocol":"171","scope":"link","flags":[]},
		{"type":"unicast","dst":"10.9.0.0/16","via":{"family":"inet6","host":"fe80::1"},"dev":"eth0","protocol":"bgp"}]`), topology.V4)
	if err != nil {
		t.Fatal(err)
	}
	want := []KernelRoute{
		{Prefix: netip.MustParsePrefix("0.0.0.0/0"), Type: "unicast", Protocol: "boot", NextHops: []netip.Addr{addr("172.16.1.1"), addr("172.16.1.2")}},
		{Prefix: netip.MustParsePrefix("10.9.0.0/16"), Type: "unicast", Protocol: "bgp", NextHops: []netip.Addr{addr("fe80::1")}, Device: "eth0"},
		{Prefix: netip.MustParsePrefix("10.244.0.0/26"), Type: "blackhole", Protocol: "170"},
		{Prefix: netip.MustParsePrefix("10.244.0.1/32"), Type: "unicast", Protocol: "171", Device: "flabc"},
	}
	if d := cmp.Diff(want, got, addresses); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestPath(t *testing.T) {
	got, err := parsePath(`traceroute to 10.244.1.1 (10.244.1.1), 12 hops max, 60 byte packets
 1  172.16.1.11  0.040 ms
 2  *
 3  172.30.0.2  0.063 ms
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []Hop{{Address: addr("172.16.1.11")}, {}, {Address: addr("172.30.0.2")}}
	if d := cmp.Diff(want, got, addresses); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestPingSummary(t *testing.T) {
	for out, want := range map[string]Loss{
		"3 packets transmitted, 3 received, 0% packet loss, time 20ms":            {3, 3},
		"3 packets transmitted, 0 received, +3 errors, 100% packet loss, time 2s": {3, 0},
		"10 packets transmitted, 8 received, +1 duplicates, 20% packet loss":      {10, 8},
	} {
		if got, ok := parsePing(out); !ok || got != want {
			t.Errorf("%q: %v, %v; want %v", out, got, ok, want)
		}
	}
	if _, ok := parsePing("ping: connect: Network is unreachable"); ok {
		t.Error("an error was taken for a summary")
	}
}

func TestTrace(t *testing.T) {
	reply := func(at, seq string) string {
		return "[1700000000." + at + "] 64 bytes from 10.0.0.1: icmp_seq=" + seq + " ttl=64 time=0.1 ms\n"
	}
	const ms = time.Millisecond
	for name, tc := range map[string]struct {
		out  string
		sent int
		want Trace
	}{
		"all back":          {reply("010000", "1") + reply("020000", "2"), 2, Trace{Loss{2, 2}, nil, 10 * ms}},
		"last on its way":   {reply("010000", "1"), 2, Trace{Loss: Loss{1, 1}}},
		"lost in between":   {reply("010000", "1") + reply("040000", "4"), 4, Trace{Loss{4, 2}, []Gap{{2, 3}}, 30 * ms}},
		"gone at the end":   {reply("010000", "1"), 24, Trace{Loss{4, 1}, []Gap{{2, 4}}, 0}},
		"duplicate is one":  {reply("010000", "1") + reply("011000", "1") + reply("030000", "3"), 3, Trace{Loss{3, 2}, []Gap{{2, 2}}, 19 * ms}},
		"unreachable is no": {"[1700000000.010000] From 10.0.0.9 icmp_seq=1 Destination Host Unreachable\n" + reply("020000", "2"), 2, Trace{Loss{2, 1}, []Gap{{1, 1}}, 0}},
	} {
		if d := cmp.Diff(tc.want, traceOf(tc.out, tc.sent)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}
