package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/dataplane"
)

// node is a BGPNode with its fields parsed.
type node struct {
	name        string
	asn         uint32
	routerID    netip.Addr
	addresses   []netip.Addr
	listenPort  int32
	restartTime time.Duration
	mesh        bool
}

func parseNode(n v1alpha1.BGPNode) (node, []Problem) {
	object := "BGPNode/" + n.Name
	var problems []Problem
	out := node{
		name:        n.Name,
		asn:         uint32(n.Spec.ASNumber),
		listenPort:  n.Spec.ListenPort,
		restartTime: seconds(n.Spec.GracefulRestartSeconds),
		mesh:        n.Spec.Mesh,
	}
	id, bad := parseAddr(object, "spec.routerID", n.Spec.RouterID)
	if bad != nil {
		problems = append(problems, *bad)
	}
	out.routerID = id
	for i, a := range n.Spec.Addresses {
		addr, bad := parseAddr(object, fmt.Sprintf("spec.addresses[%d]", i), a)
		if bad != nil {
			problems = append(problems, *bad)
			continue
		}
		out.addresses = append(out.addresses, addr)
	}
	return out, problems
}

// address of the node in the family of like.
func (n node) address(like netip.Addr) (netip.Addr, bool) {
	i := slices.IndexFunc(n.addresses, func(a netip.Addr) bool { return a.Is4() == like.Is4() })
	if i < 0 {
		return netip.Addr{}, false
	}
	return n.addresses[i], true
}

// parseRanges returns the ranges of pods, and those that are for fairlead-ipam
// alone: nobody announces a part of them.
func parseRanges(entries []v1alpha1.AddressPlanEntry) (pods, ipamOnly []netip.Prefix, _ []Problem) {
	var problems []Problem
	for _, e := range entries {
		p, bad := parsePrefix("AddressPlan/"+v1alpha1.AddressPlanName, "spec.entries", e.CIDR)
		if bad != nil {
			problems = append(problems, *bad)
			continue
		}
		if e.IPAMOnly {
			ipamOnly = append(ipamOnly, p)
		} else {
			pods = append(pods, p)
		}
	}
	slices.SortFunc(pods, dataplane.ComparePrefix)
	slices.SortFunc(ipamOnly, dataplane.ComparePrefix)
	return pods, ipamOnly, problems
}
