package host

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
)

// Addresses returns the node's global unicast addresses, each with the length
// of its connected subnet and not masked, sorted, each once. Left out are those
// on pod links and on the overlay, on links that are set down (the kernel has no
// route to their subnets), temporary ones (RFC 8981), and those that another host
// has too (duplicate address detection failed). A link that only lost its carrier
// still counts: the kernel keeps its routes, and it comes back by itself.
func Addresses() ([]netip.Prefix, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink socket: %w", err)
	}
	defer h.Close()
	all, err := owned(h)
	if err != nil {
		return nil, err
	}
	var out []netip.Prefix
	for _, o := range all {
		out = append(out, netip.PrefixFrom(o.addr, o.bits))
	}
	slices.SortFunc(out, dataplane.ComparePrefix)
	return slices.Compact(out), nil
}

// ownAddress is one address of the node.
type ownAddress struct {
	addr  netip.Addr
	bits  int
	flags int
	link  string
}

// owned lists what Addresses tells of, with its link.
func owned(h *netlink.Handle) ([]ownAddress, error) {
	links, err := whole(h.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	found, err := whole(func() ([]netlink.Addr, error) { return h.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	names := map[int]string{}
	for _, l := range links {
		if a := l.Attrs(); serves(a) {
			names[a.Index] = a.Name
		}
	}
	var out []ownAddress
	for _, a := range found {
		addr, ok := netip.AddrFromSlice(a.IP)
		link, serving := names[a.LinkIndex]
		if addr = addr.Unmap(); !ok || !serving || !usable(addr, a.Flags) {
			continue
		}
		bits, _ := a.Mask.Size()
		out = append(out, ownAddress{addr: addr, bits: bits, flags: a.Flags, link: link})
	}
	return out, nil
}

// listAttempts bounds how often an interrupted listing is made again.
const listAttempts = 5

// whole lists again what changed while it was listed.
func whole[T any](list func() ([]T, error)) (items []T, err error) {
	for range listAttempts {
		if items, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return items, err
		}
	}
	return nil, err
}

func serves(l *netlink.LinkAttrs) bool {
	return l.RawFlags&unix.IFF_UP != 0 && !dataplane.IsPodLink(l.Name) && l.Name != dataplane.OverlayLink
}

func usable(a netip.Addr, flags int) bool {
	const unwanted = unix.IFA_F_TEMPORARY | unix.IFA_F_DADFAILED
	// IFA_F_TEMPORARY is IFA_F_SECONDARY for IPv4, where it says nothing of the kind.
	return a.IsGlobalUnicast() && (a.Is4() || flags&unwanted == 0)
}
