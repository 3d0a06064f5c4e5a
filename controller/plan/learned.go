package plan

import (
	"fmt"
	"net/netip"
	"slices"

	"fairlead.dev/bgp"
	"fairlead.dev/dataplane"
)

// planLearned returns the routes to program for the RIB, and why others are
// refused. The speaker has already dropped what no pool covers; what is refused
// here would, once in the kernel, cut this node off or hijack its own pods. A
// prefix with a way of the overlay's goes that way.
func planLearned(s Snapshot, ours []netip.Prefix, overlaid map[netip.Prefix]string, refusal func(netip.Prefix) string, refused map[netip.Prefix]string) []dataplane.Route {
	out := make([]dataplane.Route, 0, len(s.RIB))
	for _, r := range s.RIB {
		if slices.Contains(ours, r.Prefix) {
			continue // our own announcement, reflected
		}
		if _, taken := overlaid[r.Prefix]; taken {
			continue
		}
		if why := refusal(r.Prefix); why != "" {
			refused[r.Prefix] = why
			continue
		}
		hops, why := reachable(r.NextHops, s.Local)
		if len(hops) == 0 {
			refused[r.Prefix] = why
			continue
		}
		out = append(out, dataplane.Route{Prefix: r.Prefix, Kind: dataplane.Unicast, NextHops: hops})
	}
	return out
}

func refusal(p netip.Prefix, s Snapshot, ours, ipamOnly []netip.Prefix, peers []bgp.Peer) string {
	for _, b := range ours {
		if b.Bits() < p.Bits() && b.Contains(p.Addr()) {
			return fmt.Sprintf("lies in %s, which is leased to this node", b)
		}
	}
	for _, r := range ipamOnly {
		if r.Bits() <= p.Bits() && r.Contains(p.Addr()) {
			return fmt.Sprintf("lies in %s, the range of an IPPool that is not advertised", r)
		}
	}
	for _, l := range s.Local {
		if p.Contains(l.Addr()) {
			return fmt.Sprintf("covers this node's own address %s", l.Addr())
		}
	}
	for _, a := range s.APIServer {
		if p.Contains(a) {
			return fmt.Sprintf("covers the API server's address %s", a)
		}
	}
	for _, n := range peers {
		if p.Contains(n.Address) {
			return fmt.Sprintf("covers the address of the peer %s", n.Address)
		}
	}
	return ""
}

// reachable returns the next hops that are neighbours of this node, and, if
// there are none, why. One that is not would make the kernel refuse the route
// with all its other next hops. Where all of them are, which is nearly always,
// they are not copied.
func reachable(hops []netip.Addr, local []netip.Prefix) (_ []netip.Addr, why string) {
	for i, hop := range hops {
		if why = unreachable(hop, local); why == "" {
			continue
		}
		out := slices.Clone(hops[:i])
		for _, hop := range hops[i+1:] {
			if unreachable(hop, local) == "" {
				out = append(out, hop)
			}
		}
		return out, why
	}
	return hops, ""
}

// unreachable says why a packet cannot be sent to a next hop, "" if it can.
func unreachable(hop netip.Addr, local []netip.Prefix) string {
	near := hop.Zone() != ""
	for _, l := range local {
		if l.Addr() == hop {
			return "its next hop is this node itself"
		}
		near = near || l.Contains(hop)
	}
	if !near {
		return fmt.Sprintf("its next hop %s is on no subnet of this node: the peer should be its own next hop", hop)
	}
	return ""
}
