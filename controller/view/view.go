// Package view is what an agent tells over its unix socket: value types only,
// so that the CLI can read them without linking the agent.
package view

import (
	"net/netip"
	"time"

	"fairlead.dev/api/v1alpha1"
)

// StatePath answers GET with a Node as JSON.
const StatePath = "/v1/state"

// Values of Node.Source.
const (
	FromAPI      = "api"
	FromSnapshot = "snapshot"
)

// Node is everything that an agent knows about its node.
type Node struct {
	Name string `json:"name"`
	// At is when this was put together.
	At time.Time `json:"at"`
	// Source of the configuration in use: FromAPI, or FromSnapshot when the API
	// server has not been reached since the agent started.
	Source string `json:"source"`
	// Spec is what the controller decided for the node, as the agent knows it.
	Spec v1alpha1.BGPNodeSpec `json:"spec"`
	// State is what the agent reports as its NodeState, which holds no more of
	// long lists than the API takes.
	State v1alpha1.NodeStateStatus `json:"state"`
	// BlocksAsked counts the blocks asked for beyond those that the node has.
	BlocksAsked int64 `json:"blocksAsked"`
	// Routes, sorted by prefix.
	Routes []Route `json:"routes"`
	// RoutesRefused counts those of them that the plan left out.
	RoutesRefused int64 `json:"routesRefused,omitempty"`
	// Problems names every object that could not be used, and why.
	Problems []string `json:"problems,omitempty"`
}

// Route is one prefix on its way from the RIB to the kernel.
type Route struct {
	Prefix netip.Prefix `json:"prefix"`
	// Origin is "block" for our own, "learned" for a peer's, and "lease" for another
	// node's block that is routed because a pool has an encapsulation.
	Origin string `json:"origin"`
	// Path is how packets go: "blackhole" to nowhere, "native" as they are, "VXLAN"
	// in the overlay.
	Path string `json:"path"`
	// Node holds the block of a lease.
	Node string `json:"node,omitempty"`
	// Source is the address that the node itself sends from; absent if the kernel
	// chooses.
	Source netip.Addr `json:"source,omitzero"`
	// NextHops, sorted; empty for a block of our own.
	NextHops []netip.Addr `json:"nextHops,omitempty"`
	// From are the neighbours that it was learned from.
	From []netip.Addr `json:"from,omitempty"`
	// Installed says that the kernel holds the route.
	Installed bool `json:"installed"`
	// Advertised says that we announce it.
	Advertised bool `json:"advertised,omitempty"`
	// Stale says that its peer restarts.
	Stale bool `json:"stale,omitempty"`
	// Refused says that the plan left the route out; otherwise a route that is
	// not installed was refused by the kernel.
	Refused bool `json:"refused,omitempty"`
	// Problem says why it is not installed.
	Problem string `json:"problem,omitempty"`
}
