package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"fairlead.dev/bgp"
	"fairlead.dev/cniplugin/store"
	"fairlead.dev/dataplane"
)

// Plan is what the node should do.
type Plan struct {
	// Leases go to the address store, sorted by CIDR.
	Leases []store.Lease
	// Routes are all the kernel routes of the agent, sorted by prefix.
	Routes []dataplane.Route
	// BGP is the speaker's configuration. Its Announce holds every prefix to be
	// announced once the kernel holds its route: see Announceable.
	BGP bgp.Config
	// PeerNames names the sessions: a BGPPeer, or node/NAME.
	PeerNames map[netip.Addr]string
	// Barred are the sessions asked for and not among BGP.Peers, sorted by peer.
	Barred []Barred
	// Released are the UIDs of Draining blocks of which, after this plan is
	// applied, the node holds nothing.
	Released []string
	// Wants has a line for each pool of which a Leased block is held, sorted by name.
	Wants []Want
	// Awaited are the pools, by name, that are to give the node its first block of
	// a family for pods, and have not yet.
	Awaited []string
	// Shut are the Snapshot's.
	Shut []netip.Prefix `json:",omitempty"`
	// Serving are the blocks of Announce that are announced already and hold
	// addresses, sorted: see Unheld.
	Serving []netip.Prefix
	// Refused are prefixes of others that are not programmed, and why.
	Refused map[netip.Prefix]string
	Overlay Device
	// Filter is what varies in the nft table.
	Filter dataplane.Filter
}

// Compute makes the plan.
func Compute(s Snapshot) (Plan, []Problem) {
	var problems []Problem
	report := func(p ...Problem) { problems = append(problems, p...) }

	node, bad := parseNode(s.Intent.Node)
	report(bad...)
	blocks, bad := planBlocks(s)
	report(bad...)
	ranges, ipamOnly, bad := parseRanges(s.Intent.Ranges)
	report(bad...)
	peers, bad := planPeers(s.Intent, node, ranges)
	report(bad...)
	guard := func(p netip.Prefix) string { return refusal(p, s, blocks.ours, ipamOnly, peers.sessions) }
	overlay, refused, bad := planOverlay(s, node, blocks, guard)
	report(bad...)
	report(planUnsupported(s)...)
	learned := planLearned(s, blocks.ours, overlay.Nodes, guard, refused)

	p := Plan{
		Leases:    blocks.leases,
		Routes:    slices.Concat(blocks.routes, overlay.routes, learned),
		PeerNames: peers.names,
		Barred:    peers.barred,
		Released:  blocks.released,
		Wants:     blocks.wants,
		Awaited:   blocks.awaited,
		Shut:      s.Shut,
		Serving:   blocks.serving,
		Refused:   refused,
		Overlay:   overlay.Device,
		Filter:    planNAT(s, node, ranges),
		BGP: bgp.Config{
			Global: bgp.Global{
				ASN:         node.asn,
				RouterID:    node.routerID,
				ListenPort:  node.listenPort,
				RestartTime: node.restartTime,
				Restarting:  s.Restarting,
			},
			Peers:    peers.sessions,
			Announce: blocks.announce,
		},
	}
	dataplane.SortRoutes(p.Routes)
	return p, problems
}

func seconds(n int32) time.Duration { return time.Duration(n) * time.Second }

// parsePrefix accepts what the API server's CEL rules accept; a failure means
// that the object was written around them.
func parsePrefix(object, field, value string) (netip.Prefix, *Problem) {
	p, err := netip.ParsePrefix(value)
	if err != nil || p != p.Masked() {
		return netip.Prefix{}, &Problem{object, field, fmt.Sprintf("%q is not a network such as 10.244.0.0/26 or fd00::/122", value)}
	}
	return p, nil
}

func parseAddr(object, field, value string) (netip.Addr, *Problem) {
	a, err := netip.ParseAddr(value)
	if err != nil || a.Zone() != "" || a.Is4In6() {
		return netip.Addr{}, &Problem{object, field, fmt.Sprintf("%q is not an address such as 192.0.2.1 or 2001:db8::1", value)}
	}
	return a, nil
}
