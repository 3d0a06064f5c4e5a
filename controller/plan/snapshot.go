// Package plan decides what a node should do. Compute is pure: no I/O, no
// clock, no log; sorted output; the same Snapshot gives the same Plan. A bad
// object becomes a Problem and everything else is still planned.
package plan

import (
	"net/netip"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/bgp"
)

// Intent is what the API says that concerns this node. It is also what the
// agent remembers on disk, so that it can start while the API is down.
type Intent struct {
	// Node is this node's BGPNode.
	Node v1alpha1.BGPNode `json:"node"`
	// Pools are all IPPools.
	Pools []v1alpha1.IPPool `json:"pools,omitempty"`
	// Ranges are the AddressPlan's: what is pod address space in this cluster.
	Ranges []v1alpha1.AddressPlanEntry `json:"ranges,omitempty"`
	// Blocks are this node's.
	Blocks []v1alpha1.IPBlock `json:"blocks,omitempty"`
	// Peers are all BGPPeers.
	Peers []v1alpha1.BGPPeer `json:"peers,omitempty"`
	// Keys are the TCP MD5 keys found, by Secret and key. Secret.
	Keys map[string]string `json:"keys,omitempty"`
	// Mesh holds the other nodes' BGPNodes and MeshBlocks their blocks; both are
	// empty unless this node is in the mesh or a pool has an encapsulation.
	Mesh       []v1alpha1.BGPNode `json:"mesh,omitempty"`
	MeshBlocks []v1alpha1.IPBlock `json:"meshBlocks,omitempty"`
}

// KeyName is the key of Intent.Keys for a reference.
func KeyName(ref v1alpha1.SecretKeyRef) string { return ref.Name + "/" + ref.Key }

// Lease is a block as the address store holds it.
type Lease struct {
	UID string
	// Closed blocks give out no address, so Used can only fall.
	Closed bool
	// IPAMOnly blocks are no pod's.
	IPAMOnly bool
	// Announced blocks are told to other routers, by this agent or the one before.
	Announced bool
	Capacity  int64
	Used      int64
	// Foreign counts those of Used that other networks of the node gave out.
	Foreign int64
	// Idle blocks have been empty for so long that they may go back.
	Idle bool
}

// Snapshot is all that a plan is made from.
type Snapshot struct {
	Intent Intent
	// Local are the node's own addresses, each with the length of its subnet.
	Local []netip.Prefix
	// APIServer are the addresses by which the agent reaches the API server.
	APIServer []netip.Addr
	// RIB are the routes learned.
	RIB []bgp.Route
	// Leases are the address store's, by block.
	Leases map[netip.Prefix]Lease
	// Shut are adopted blocks that another network may still give out addresses of.
	Shut    []netip.Prefix
	Overlay Overlay
	// Restarting says that routes of an earlier agent were found in the kernel
	// when this one started.
	Restarting bool
	NAT        NAT
}

// Problem is something that a person has to mend. It concerns one object and
// keeps nothing else from being planned.
type Problem struct {
	// Object is Kind/name.
	Object string
	// Field is the JSON path at fault, "" if the object as a whole is.
	Field string
	// Message says what is wrong and what would be right.
	Message string
}

func (p Problem) String() string {
	if p.Field == "" {
		return p.Object + ": " + p.Message
	}
	return p.Object + " " + p.Field + ": " + p.Message
}
