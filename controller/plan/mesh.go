package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/bgp"
	"fairlead.dev/dataplane"
)

// Timers of sessions between our own speakers. Connect retry is short because
// all nodes of a cluster may start at once, and only one side of each session
// dials: two dialling sides collide, which cost minutes with 100 speakers.
const (
	meshHoldTime     = 30 * time.Second
	meshKeepalive    = 10 * time.Second
	meshConnectRetry = 2 * time.Second
)

type meshPeer struct {
	name string
	peer bgp.Peer
}

// planMesh returns a session per address family to every other node of the
// mesh. From each only the blocks leased to it are accepted, so that a node
// cannot take what it was not leased.
func planMesh(in Intent, self node) ([]meshPeer, []Problem) {
	if !self.mesh {
		return nil, nil
	}
	leased := map[string][]netip.Prefix{}
	for _, b := range in.MeshBlocks {
		// A malformed block is reported by the node that holds it.
		cidr, err := netip.ParsePrefix(b.Spec.CIDR)
		if err == nil && b.Spec.State != v1alpha1.BlockCooling && !b.Spec.IPAMOnly {
			leased[b.Spec.NodeName] = append(leased[b.Spec.NodeName], cidr)
		}
	}
	var out []meshPeer
	var problems []Problem
	for _, n := range in.Mesh {
		if n.Name == self.name || !n.Spec.Mesh {
			continue
		}
		other, bad := parseNode(n)
		problems = append(problems, bad...)
		accept := leased[n.Name]
		slices.SortFunc(accept, dataplane.ComparePrefix)
		for _, addr := range other.addresses {
			own, ok := self.address(addr)
			if !ok {
				continue
			}
			if self.listenPort == -1 && other.listenPort == -1 {
				problems = append(problems, Problem{"BGPNode/" + n.Name, "spec.listenPort", fmt.Sprintf("is -1 here and on %s, so neither can connect to the other: let one of them listen", self.name)})
				continue
			}
			out = append(out, meshPeer{n.Name, bgp.Peer{
				Address:      addr,
				Port:         dialPort(other),
				ASN:          other.asn,
				Passive:      passive(self, own, other, addr),
				HoldTime:     meshHoldTime,
				Keepalive:    meshKeepalive,
				ConnectRetry: meshConnectRetry,
				// Nodes of other AS numbers are mostly in other racks.
				Multihop: self.asn != other.asn,
				Accept:   family(accept, addr),
			}})
		}
	}
	return out, problems
}

// passive gives both ends the opposite answer: the lower address waits, unless
// one side listens nowhere.
func passive(self node, own netip.Addr, other node, addr netip.Addr) bool {
	switch {
	case self.listenPort == -1:
		return false
	case other.listenPort == -1:
		return true
	}
	return own.Less(addr)
}

func dialPort(other node) uint16 {
	if other.listenPort <= 0 {
		return 0
	}
	return uint16(other.listenPort)
}
