package node

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/bgp"
	"fairlead.dev/controller/plan"
	"fairlead.dev/controller/view"
	"fairlead.dev/dataplane"
)

// report puts together what is known after a sync; conditions carry no times yet. What
// was found of the node's addresses (tell) and of the runtime's folder (offer) is added.
func report(name string, source Source, s plan.Snapshot, p plan.Plan, problems []plan.Problem, done applied, sessions []bgp.Session) published {
	if done.leases != nil {
		s.Leases = done.leases
	}
	installed := p.Held(done.routes)
	announced := map[netip.Prefix]bool{}
	for _, x := range done.announced {
		announced[x] = true
	}
	st := v1alpha1.NodeStateStatus{
		NodeUID:        s.Intent.Node.Spec.NodeUID,
		ASNumber:       int64(p.BGP.Global.ASN),
		Sessions:       sessionStatus(p, sessions),
		Blocks:         blockStatus(s, p, installed, announced),
		ReleasedBlocks: done.released,
		WantedBlocks:   wantedBlocks(p),
		Routes: v1alpha1.RouteCounts{
			Wanted: int64(len(p.Routes)), Installed: int64(installed.Count()), Failed: int64(len(done.routes.Failed)),
		},
	}
	if done.vtep {
		st.VTEP = &v1alpha1.VTEP{VNI: int32(p.Overlay.Want.VNI), Port: int32(p.Overlay.Want.Port)}
	}
	if p.BGP.Global.RouterID.IsValid() {
		st.RouterID = p.BGP.Global.RouterID.String()
	}
	st.SessionsWanted = int64(len(p.BGP.Peers) + len(p.Barred))
	for _, x := range st.Sessions {
		if x.State == bgp.Established {
			st.SessionsEstablished++
		}
	}
	for _, b := range st.Blocks {
		st.AddressesUsed += b.Used
	}
	st.Conditions = conditions(st, p, problems, done)
	v := view.Node{
		Name: name, At: time.Now(), Source: string(source), Spec: s.Intent.Node.Spec, State: st, RoutesRefused: int64(len(p.Refused)),
	}
	for _, w := range p.Wants {
		v.BlocksAsked += int64(max(0, w.Count-w.Has))
	}
	for _, x := range problems {
		v.Problems = append(v.Problems, x.String())
	}
	return published{Node: v, routes: func() []view.Route { return viewRoutes(s, p, done.routes, installed, announced) }}
}

// published is a view whose Routes are put together for who asks: there may be
// 100,000, and a sync after each change of one.
type published struct {
	view.Node
	routes func() []view.Route
	// whole has them, once put together.
	whole func() *view.Node
}

// waiting is the report of an agent that has never been told anything.
func waiting(name string) published {
	st := v1alpha1.NodeStateStatus{Conditions: []metav1.Condition{condition(v1alpha1.ConditionReady, false, "NoBGPNode",
		fmt.Sprintf("there is no BGPNode %q yet, and nothing remembered from an earlier run: is the Node registered, and fairlead-controller running?", name))}}
	return published{Node: view.Node{Name: name, At: time.Now(), State: st}, routes: func() []view.Route { return nil }}
}

func sessionStatus(p plan.Plan, sessions []bgp.Session) []v1alpha1.SessionStatus {
	have := map[netip.Addr]bgp.Session{}
	for _, s := range sessions {
		have[s.Address] = s
	}
	out := make([]v1alpha1.SessionStatus, 0, len(p.BGP.Peers))
	for _, want := range p.BGP.Peers {
		s, found := have[want.Address]
		if !found {
			s.State = "Idle"
		}
		row := v1alpha1.SessionStatus{
			Peer: p.PeerNames[want.Address], Address: want.Address.String(), ASNumber: int64(want.ASN),
			State: s.State, Received: s.Received, Accepted: s.Accepted, Advertised: s.Advertised,
		}
		if !s.Since.IsZero() {
			row.Since = &metav1.Time{Time: s.Since.Truncate(time.Second)}
		}
		if s.State != bgp.Established {
			row.LastError = clip(s.LastError, 1024)
		}
		out = append(out, row)
	}
	for _, b := range p.Barred {
		out = append(out, v1alpha1.SessionStatus{Peer: b.Peer, Address: b.Address, ASNumber: b.ASN, State: "Idle", LastError: clip(b.Why, 1024)})
	}
	slices.SortFunc(out, compareSession)
	return out
}

func compareSession(a, b v1alpha1.SessionStatus) int {
	return cmp.Or(strings.Compare(a.Peer, b.Peer), strings.Compare(a.Address, b.Address))
}

func blockStatus(s plan.Snapshot, p plan.Plan, installed plan.Held, announced map[netip.Prefix]bool) []v1alpha1.BlockStatus {
	var out []v1alpha1.BlockStatus
	for _, l := range p.Leases {
		held := s.Leases[l.CIDR]
		out = append(out, v1alpha1.BlockStatus{
			CIDR: l.CIDR.String(), UID: l.UID, Capacity: held.Capacity, Used: held.Used, Foreign: held.Foreign,
			Programmed: installed.Has(l.CIDR), Advertised: announced[l.CIDR], IPAMOnly: l.IPAMOnly, Closed: held.Closed,
		})
	}
	return out
}

func wantedBlocks(p plan.Plan) []v1alpha1.WantedBlocks {
	var out []v1alpha1.WantedBlocks
	for _, w := range p.Wants {
		out = append(out, v1alpha1.WantedBlocks{Pool: w.Pool, PoolUID: w.PoolUID, Count: int64(w.Count)})
	}
	return out
}

// viewRoutes tells of each route that is planned, and of each that is refused.
// The RIB is sorted, which spares an index of it.
func viewRoutes(s plan.Snapshot, p plan.Plan, r dataplane.Result, installed plan.Held, announced map[netip.Prefix]bool) []view.Route {
	out := make([]view.Route, 0, len(p.Routes)+len(p.Refused))
	for i, w := range p.Routes {
		row := view.Route{
			Prefix: w.Prefix, Origin: "learned", Path: path(w), Source: w.Source, NextHops: w.NextHops,
			Installed: installed.At(i), Advertised: announced[w.Prefix],
		}
		switch {
		case w.Kind == dataplane.Blackhole:
			row.Origin = "block"
		case p.Overlay.Nodes[w.Prefix] != "":
			row.Origin, row.Node = "lease", p.Overlay.Nodes[w.Prefix]
		default:
			x := learnedAs(s.RIB, w.Prefix)
			row.From, row.Stale = x.Peers, x.Stale
		}
		if err := r.Failed[w.Prefix]; err != nil {
			row.Problem = err.Error()
		}
		out = append(out, row)
	}
	for prefix, why := range p.Refused {
		x := learnedAs(s.RIB, prefix)
		out = append(out, view.Route{Prefix: prefix, Origin: "learned", NextHops: x.NextHops, From: x.Peers, Stale: x.Stale, Refused: true, Problem: why})
	}
	slices.SortFunc(out, func(a, b view.Route) int { return dataplane.ComparePrefix(a.Prefix, b.Prefix) })
	return out
}

// learnedAs is the RIB's route to a prefix, zero if it has none.
func learnedAs(rib []bgp.Route, p netip.Prefix) bgp.Route {
	i, found := slices.BinarySearchFunc(rib, p, func(r bgp.Route, p netip.Prefix) int { return bgp.ComparePrefix(r.Prefix, p) })
	if !found {
		return bgp.Route{}
	}
	return rib[i]
}

func path(r dataplane.Route) string {
	switch {
	case r.Kind == dataplane.Blackhole:
		return "blackhole"
	case r.Link == dataplane.OverlayLink:
		return "VXLAN"
	}
	return "native"
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-3], "") + "..."
}
