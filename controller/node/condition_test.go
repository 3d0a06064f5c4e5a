package node

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/bgp"
	"fairlead.dev/cniplugin/store"
	"fairlead.dev/controller/plan"
	"fairlead.dev/dataplane"
)

var (
	block4 = netip.MustParsePrefix("10.244.0.0/26")
	block6 = netip.MustParsePrefix("fd00:10:244::/122")
	far    = netip.MustParsePrefix("10.244.0.64/26")
	tor    = netip.MustParseAddr("10.1.0.1")
)

// wellSnapshot and wellPlan are of a node on which nothing is wrong.
func well() (plan.Snapshot, plan.Plan, applied, []bgp.Session) {
	s := plan.Snapshot{
		Leases: map[netip.Prefix]plan.Lease{block4: {UID: "b4", Capacity: 64, Used: 2}, block6: {UID: "b6", Capacity: 64, Used: 2}},
		RIB:    []bgp.Route{{Prefix: far, NextHops: []netip.Addr{tor}, Peers: []netip.Addr{tor}}},
	}
	routes := []dataplane.Route{
		{Prefix: block4, Kind: dataplane.Blackhole},
		{Prefix: far, NextHops: []netip.Addr{tor}},
		{Prefix: block6, Kind: dataplane.Blackhole},
	}
	p := plan.Plan{
		Leases:    []store.Lease{{CIDR: block4, UID: "b4", Pool: "v4"}, {CIDR: block6, UID: "b6", Pool: "v6"}},
		Routes:    routes,
		PeerNames: map[netip.Addr]string{tor: "tor1"},
		BGP: bgp.Config{
			Global:   bgp.Global{ASN: 65101, RouterID: netip.MustParseAddr("10.1.0.11")},
			Peers:    []bgp.Peer{{Address: tor, ASN: 65001}},
			Announce: []netip.Prefix{block4, block6},
		},
	}
	done := applied{routes: dataplane.Result{Seen: true}, announced: p.BGP.Announce}
	up := []bgp.Session{{Address: tor, ASN: 65001, State: bgp.Established, Since: time.Unix(1700000000, 5), Received: 3, Accepted: 1, Advertised: 1}}
	return s, p, done, up
}

func TestConditions(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*plan.Snapshot, *plan.Plan, *applied, []bgp.Session) []plan.Problem
		kind  string
		want  string // reason, then fragments of the message
	}{
		"ready":          {nil, v1alpha1.ConditionReady, "Synced"},
		"in sync":        {nil, v1alpha1.ConditionRoutesInSync, "InSync"},
		"established":    {nil, v1alpha1.ConditionSessionsEstablished, "AllEstablished"},
		"available":      {nil, v1alpha1.ConditionAddressesAvailable, "Available"},
		"accepted":       {nil, v1alpha1.ConditionConfigAccepted, "Accepted"},
		"a ToR is down":  {sessionDown, v1alpha1.ConditionSessionsEstablished, "SessionsDown|tor1 (10.1.0.1) is Active: connection refused"},
		"still ready":    {sessionDown, v1alpha1.ConditionReady, "Synced"},
		"no peers":       {noPeers, v1alpha1.ConditionSessionsEstablished, "NoPeers"},
		"no block":       {noBlock, v1alpha1.ConditionReady, "NoBlock|IPPool"},
		"kernel refused": {refusedRoute, v1alpha1.ConditionRoutesInSync, "RoutesFailed|add route 10.244.0.64/26: next hop unreachable"},
		"not programmed": {unprogrammed, v1alpha1.ConditionReady, "BlockNotProgrammed|10.244.0.0/26"},
		"IPv6 exhausted": {exhausted, v1alpha1.ConditionAddressesAvailable, "Exhausted|no IPv6 address"},
		"bad object":     {badObject, v1alpha1.ConditionConfigAccepted, "ObjectsNotUsed|BGPPeer/x spec.address: is wrong"},
		"sync failed":    {failed, v1alpha1.ConditionReady, "SyncFailed|configure BGP: port in use"},
	} {
		t.Run(name, func(t *testing.T) {
			s, p, done, sessions := well()
			var problems []plan.Problem
			if c.spoil != nil {
				problems = c.spoil(&s, &p, &done, sessions)
			}
			v := report("n1", FromAPI, s, p, problems, done, sessions)
			reason, fragments, _ := strings.Cut(c.want, "|")
			got := meta.FindStatusCondition(v.State.Conditions, c.kind)
			if got == nil || got.Reason != reason || !strings.Contains(got.Message, fragments) {
				t.Errorf("got %+v, want reason %s and %q", got, reason, fragments)
			}
		})
	}
}

func sessionDown(_ *plan.Snapshot, _ *plan.Plan, _ *applied, s []bgp.Session) []plan.Problem {
	s[0].State, s[0].LastError = "Active", "connection refused"
	return nil
}

func noPeers(_ *plan.Snapshot, p *plan.Plan, _ *applied, _ []bgp.Session) []plan.Problem {
	p.BGP.Peers = nil
	return nil
}

func noBlock(_ *plan.Snapshot, p *plan.Plan, _ *applied, _ []bgp.Session) []plan.Problem {
	p.Leases, p.Routes, p.BGP.Announce = nil, nil, nil
	return nil
}

func refusedRoute(_ *plan.Snapshot, _ *plan.Plan, a *applied, _ []bgp.Session) []plan.Problem {
	a.routes.Failed = map[netip.Prefix]error{far: errors.New("add route 10.244.0.64/26: next hop unreachable")}
	return nil
}

func unprogrammed(_ *plan.Snapshot, _ *plan.Plan, a *applied, _ []bgp.Session) []plan.Problem {
	a.routes.Failed = map[netip.Prefix]error{block4: errors.New("add route 10.244.0.0/26: no such device")}
	return nil
}

func exhausted(s *plan.Snapshot, _ *plan.Plan, _ *applied, _ []bgp.Session) []plan.Problem {
	s.Leases[block6] = plan.Lease{UID: "b6", Capacity: 64, Used: 64}
	return nil
}

func badObject(*plan.Snapshot, *plan.Plan, *applied, []bgp.Session) []plan.Problem {
	return []plan.Problem{{Object: "BGPPeer/x", Field: "spec.address", Message: "is wrong"}}
}

func failed(_ *plan.Snapshot, _ *plan.Plan, a *applied, _ []bgp.Session) []plan.Problem {
	a.err = errors.New("configure BGP: port in use")
	return nil
}

// The view is read by people: what is in it must agree with the kernel's result.
func TestReportRoutes(t *testing.T) {
	s, p, done, sessions := well()
	p.Refused = map[netip.Prefix]string{netip.MustParsePrefix("10.1.0.0/16"): "covers this node"}
	refusedRoute(nil, nil, &done, nil)
	v := report("n1", FromMemory, s, p, nil, done, sessions)
	v.Routes = v.routes()
	if v.Source != "snapshot" || len(v.Routes) != 4 {
		t.Fatalf("view: %+v", v)
	}
	refused, own, learned := v.Routes[0], v.Routes[1], v.Routes[2]
	if !refused.Refused || refused.Installed || refused.Problem == "" {
		t.Errorf("refused: %+v", refused)
	}
	if own.Origin != "block" || !own.Installed || !own.Advertised {
		t.Errorf("own: %+v", own)
	}
	if learned.Installed || learned.Refused || !strings.Contains(learned.Problem, "unreachable") || learned.From[0] != tor {
		t.Errorf("learned: %+v", learned)
	}
	if got := v.State.Routes; got != (v1alpha1.RouteCounts{Wanted: 3, Installed: 2, Failed: 1}) {
		t.Errorf("counts: %+v", got)
	}
	if got := v.State.Sessions[0]; got.Since.Nanosecond() != 0 || got.Peer != "tor1" {
		t.Errorf("session: %+v", got)
	}
}

// A session that a BGPPeer asks for and cannot have is wanted all the same.
func TestReportBarredPeer(t *testing.T) {
	s, p, done, sessions := well()
	p.Barred = []plan.Barred{{Peer: "nokey", Address: "10.1.0.7", ASN: 65001, Why: "spec.authSecretRef: no Secret"}}
	st := report("n1", FromAPI, s, p, nil, done, sessions).State
	if st.SessionsWanted != 2 || st.SessionsEstablished != 1 {
		t.Errorf("%d of %d sessions", st.SessionsEstablished, st.SessionsWanted)
	}
	want := v1alpha1.SessionStatus{Peer: "nokey", Address: "10.1.0.7", ASNumber: 65001, State: "Idle", LastError: "spec.authSecretRef: no Secret"}
	if st.Sessions[0] != want {
		t.Errorf("session: %+v", st.Sessions[0])
	}
}

func TestListIsBounded(t *testing.T) {
	got := list([]string{"g", "f", "e", "d", "c", "b", "a"})
	if got != "a; b; c; d; e; and 2 more" {
		t.Error(got)
	}
}
