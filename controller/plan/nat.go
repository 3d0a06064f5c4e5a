package plan

import (
	"net/netip"
	"slices"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/dataplane"
)

// NAT is the part of a Snapshot that is about translation.
type NAT struct {
	// Held is what the kernel's table holds.
	Held dataplane.Filter
	// Default4 and Default6 are the links that the default route of a family goes
	// by, sorted.
	Default4, Default6 []string
	// Unsupported says that the kernel has no such table.
	Unsupported bool
}

// planUnsupported says of each pool what its pods have to do without.
func planUnsupported(s Snapshot) []Problem {
	var problems []Problem
	for _, p := range s.Intent.Pools {
		if s.NAT.Unsupported && p.Spec.NATOutgoing {
			problems = append(problems, Problem{
				"IPPool/" + p.Name, "spec.natOutgoing",
				"is true, but the kernel of node " + s.Intent.Node.Name + " has no nf_tables: what its pods send leaves with their own addresses",
			})
		}
	}
	return problems
}

// planNAT decides what is translated, and to what. Whatever an AddressPlan entry
// says is pod address space counts, also of a pool that is Draining or gone, and
// so does every block known here: packets between pods keep their addresses.
func planNAT(s Snapshot, self node, pods []netip.Prefix) dataplane.Filter {
	out := dataplane.Filter{Pods: slices.Concat(pods, podBlocks(s.Intent.Blocks), podBlocks(s.Intent.MeshBlocks))}
	if s.Intent.Ranges == nil {
		// No AddressPlan has been seen: nothing is known to have gone.
		out.Pods = append(out.Pods, s.NAT.Held.Pods...)
		out.Translated = s.NAT.Held.Translated
	} else {
		out.Translated = translated(s)
	}
	for _, f := range []struct {
		links []string
		like  netip.Addr
	}{{s.NAT.Default4, netip.IPv4Unspecified()}, {s.NAT.Default6, netip.IPv6Unspecified()}} {
		out.Uplinks = append(out.Uplinks, uplinks(s, self, f.links, f.like)...)
	}
	return out.Canonical()
}

// translated are the ranges of pools with natOutgoing. A pool that is gone, and
// only its pods are not, is as it last was.
func translated(s Snapshot) []netip.Prefix {
	nat := map[string]bool{}
	for _, p := range s.Intent.Pools {
		nat[string(p.UID)] = p.Spec.NATOutgoing
	}
	var out []netip.Prefix
	for _, e := range s.Intent.Ranges {
		cidr, err := netip.ParsePrefix(e.CIDR)
		if err != nil || e.IPAMOnly {
			continue // parseRanges has said so; no pod of ours
		}
		is, known := nat[e.PoolUID]
		if is || !known && covered(cidr, s.NAT.Held.Translated) {
			out = append(out, cidr)
		}
	}
	return out
}

func covered(p netip.Prefix, by []netip.Prefix) bool {
	return slices.ContainsFunc(by, func(q netip.Prefix) bool { return q.Overlaps(p) && q.Bits() <= p.Bits() })
}

func podBlocks(blocks []v1alpha1.IPBlock) []netip.Prefix {
	var out []netip.Prefix
	for _, b := range blocks {
		if p, err := netip.ParsePrefix(b.Spec.CIDR); err == nil && !b.Spec.IPAMOnly {
			out = append(out, p)
		}
	}
	return out
}

// uplinks of the family of like with the node's own address, where several share
// the default route: a connection may then leave by any of them, and by the other
// when one fails. What has shared it goes on to be translated so while the default
// route goes by no other link: it may be that only one of the links is up.
func uplinks(s Snapshot, self node, links []string, like netip.Addr) []dataplane.Uplink {
	addr, ok := self.address(like)
	if !ok || !slices.ContainsFunc(s.Local, func(p netip.Prefix) bool { return p.Addr() == addr }) {
		return nil // packets to it would not come back
	}
	if len(links) < 2 {
		var held []string
		for _, u := range s.NAT.Held.Uplinks {
			if u.Address.Is4() == like.Is4() {
				held = append(held, u.Link)
			}
		}
		if len(links) == 1 && !slices.Contains(held, links[0]) {
			return nil
		}
		links = held
	}
	var out []dataplane.Uplink
	for _, l := range links {
		out = append(out, dataplane.Uplink{Link: l, Address: addr})
	}
	return out
}
