package host

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
)

// Candidates returns the node's addresses that the rule finds, the preferred
// first: both families, each address once. The order does not depend on that in
// which links and addresses came. Left out is what Addresses leaves out, and what
// the kernel does not send from yet (tentative).
//
// On equal terms the lower address comes first, but later are the secondary ones,
// those without a subnet, as the shared addresses that wander between nodes, those
// that are there for a while (a lease, router advertisements), and last those that
// are deprecated.
func Candidates(rule dataplane.AddressRule) ([]netip.Addr, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink socket: %w", err)
	}
	defer h.Close()
	all, err := owned(h)
	if err != nil {
		return nil, err
	}
	rank, then := byInterface(rule.Interfaces), compareLinks
	switch {
	case len(rule.CIDRs) > 0:
		rank, then = byCIDR(rule.CIDRs), nil
	case len(rule.CanReach) > 0:
		sources, err := sources(h, rule.CanReach)
		if err != nil {
			return nil, err
		}
		rank, then = func(o ownAddress) int { return slices.Index(sources, o.addr) }, nil
	}
	all = slices.DeleteFunc(all, func(o ownAddress) bool {
		return rank(o) < 0 || o.flags&unix.IFA_F_TENTATIVE != 0
	})
	slices.SortFunc(all, func(a, b ownAddress) int {
		first := cmp.Compare(rank(a), rank(b))
		if first == 0 && then != nil {
			first = then(a, b)
		}
		return cmp.Or(first, cmp.Compare(a.weight(), b.weight()), compareLinks(a, b), a.addr.Compare(b.addr))
	})
	var out []netip.Addr
	for _, o := range all {
		if !slices.Contains(out, o.addr) {
			out = append(out, o.addr)
		}
	}
	return out, nil
}

// compareLinks puts the shorter name first, so that eth2 is before eth10.
func compareLinks(a, b ownAddress) int {
	return cmp.Or(cmp.Compare(len(a.link), len(b.link)), cmp.Compare(a.link, b.link))
}

// weight is the more the less the address is fit to be found for good.
func (o ownAddress) weight() (w int) {
	for bit, heavy := range []bool{
		o.addr.Is4() && o.flags&unix.IFA_F_SECONDARY != 0,
		o.bits == o.addr.BitLen(),
		o.flags&unix.IFA_F_PERMANENT == 0,
		o.flags&unix.IFA_F_DEPRECATED != 0,
	} {
		if heavy {
			w |= 1 << bit
		}
	}
	return w
}

// byInterface ranks by the first pattern that the link's name matches.
func byInterface(patterns []string) func(ownAddress) int {
	return func(o ownAddress) int {
		return slices.IndexFunc(patterns, func(p string) bool {
			start, wild := strings.CutSuffix(p, "*")
			return o.link == p || wild && strings.HasPrefix(o.link, start)
		})
	}
}

// byCIDR ranks by the first range that the address is in.
func byCIDR(ranges []netip.Prefix) func(ownAddress) int {
	return func(o ownAddress) int {
		return slices.IndexFunc(ranges, func(p netip.Prefix) bool { return p.Contains(o.addr) })
	}
}

// sources are the addresses that the kernel sends from to the targets, by a look
// at its routes and without a packet: first the one that it takes now, then those
// of the other paths where there are several.
func sources(h *netlink.Handle, targets []netip.Addr) ([]netip.Addr, error) {
	var out []netip.Addr
	for _, target := range targets {
		taken, err := lookup(h, target, nil)
		if err != nil {
			return nil, err
		}
		paths, err := lookup(h, target, &netlink.RouteGetOptions{FIBMatch: true})
		if err != nil {
			return nil, err
		}
		for _, route := range paths {
			for _, hop := range route.MultiPath {
				by, err := lookup(h, target, &netlink.RouteGetOptions{OifIndex: hop.LinkIndex})
				if err != nil {
					return nil, err
				}
				taken = append(taken, by...)
			}
		}
		for _, route := range taken {
			if addr, ok := netip.AddrFromSlice(route.Src); ok {
				out = append(out, addr.Unmap())
			}
		}
	}
	return out, nil
}

// lookup asks the kernel for its route to an address. That there is none is no error.
func lookup(h *netlink.Handle, target netip.Addr, options *netlink.RouteGetOptions) ([]netlink.Route, error) {
	routes, err := h.RouteGetWithOptions(target.AsSlice(), options)
	var refused unix.Errno
	switch {
	case err == nil:
		return routes, nil
	case errors.As(err, &refused) && slices.Contains(noRoute(), refused):
		return nil, nil
	}
	return nil, fmt.Errorf("look up the route to %s: %w", target, err)
}

// noRoute is how the kernel says that it would not send: no route; a blackhole,
// an unreachable or a prohibit route; a link that went in between.
func noRoute() []unix.Errno {
	return []unix.Errno{unix.ENETUNREACH, unix.EINVAL, unix.EHOSTUNREACH, unix.EACCES, unix.ENODEV, unix.EAGAIN}
}
