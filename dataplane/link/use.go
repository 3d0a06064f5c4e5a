package link

import (
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/nl"
)

// answering are the states of a neighbour that was heard of a moment ago, or that
// somebody vouches for. One that is merely stale may be long gone.
const answering = unix.NUD_REACHABLE | unix.NUD_DELAY | unix.NUD_PROBE | unix.NUD_PERMANENT

// InUse lists the addresses of these blocks that the kernel knows of and that are not
// ours: those with a route of their own, as ptp makes one for each pod, and
// neighbours that answer, as behind a bridge. Who is silent on a bridge is not
// among them.
func (n *Node) InUse(blocks []netip.Prefix) ([]netip.Addr, error) {
	inBlocks := func(a netip.Addr) bool {
		return slices.ContainsFunc(blocks, func(b netip.Prefix) bool { return b.Contains(a) })
	}
	var out []netip.Addr
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		routes, err := n.conn.Routes(family, func(r nl.Route) bool {
			ours := r.Protocol == dataplane.ProtocolPod || r.Protocol == dataplane.ProtocolRoute
			return !ours && r.Prefix.IsSingleIP() && inBlocks(r.Prefix.Addr())
		})
		if err != nil {
			return nil, err
		}
		for _, r := range routes {
			out = append(out, r.Prefix.Addr())
		}
	}
	neighbours, err := n.conn.Neighbours()
	if err != nil {
		return nil, err
	}
	links, err := n.conn.Links()
	if err != nil {
		return nil, fmt.Errorf("tell our links from others': %w", err)
	}
	for _, x := range neighbours {
		ours := slices.ContainsFunc(links, func(l nl.Link) bool {
			return l.Index == x.Link && (dataplane.IsPodLink(l.Name) || l.Name == dataplane.OverlayLink)
		})
		if !ours && x.State&answering != 0 && inBlocks(x.Addr) {
			out = append(out, x.Addr)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out), nil
}
