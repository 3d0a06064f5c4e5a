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
		hops, why := reachable(r.NextHops, r.Prefix, s.Local)
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
func reachable(hops []netip.Addr, to netip.Prefix, local []netip.Prefix) (_ []netip.Addr, why string) {
	for i, hop := range hops {
		if why = unreachable(hop, to, local); why == "" {
			continue
		}
		out := slices.Clone(hops[:i])
		for _, hop := range hops[i+1:] {
			if unreachable(hop, to, local) == "" {
				out = append(out, hop)
			}
		}
		return out, why
	}
	return hops, ""
}

// unreachable says why a packet to a prefix cannot be sent to a next hop, "" if it can.
func unreachable(hop netip.Addr, to netip.Prefix, local []netip.Prefix) string {
	if hop.Is4() && to.Addr().Is6() {
		return fmt.Sprintf("its next hop %s is IPv4, which leads to no IPv6 prefix", hop)
	}
	near := hop.Zone() != ""
	for _, l := range local {
		switch {
		case l.Addr() == hop:
			return "its next hop is this node itself"
		case isBroadcast(hop, l):
			return fmt.Sprintf("its next hop %s is no host of %s, but all of them", hop, l.Masked())
		}
		near = near || l.Contains(hop)
	}
	if !near {
		return fmt.Sprintf("its next hop %s is on no subnet of this node: the peer should be its own next hop", hop)
	}
	return ""
}

// isBroadcast says that an address is the first or last of an IPv4 subnet, which
// reach all hosts (RFC 1122 section 3.3.6). Links of two have none (RFC 3021).
func isBroadcast(a netip.Addr, subnet netip.Prefix) bool {
	const pointToPoint = 31
	if !a.Is4() || subnet.Bits() >= pointToPoint || !subnet.Contains(a) {
		return false
	}
	return a == subnet.Masked().Addr() || !subnet.Contains(a.Next())
}
