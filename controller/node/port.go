// Package node is the agent's loop: observe, Snapshot, plan.Compute, Apply,
// report. It declares the ports that it consumes and knows no BGP engine and
// no kernel. It writes its own NodeState, and nothing else of anyone's.
//
// Invariants: nothing is announced before the kernel is seen to hold its
// route; missing input (API down, cache not synced, end-of-RIB not seen)
// deletes nothing; a failed sync never ends the process.
package node

import (
	"context"
	"net/netip"

	"fairlead.dev/bgp"
	"fairlead.dev/cniplugin/install"
	"fairlead.dev/cniplugin/store"
	"fairlead.dev/controller/plan"
	"fairlead.dev/controller/view"
	"fairlead.dev/dataplane"
)

// Ports are all that an Agent acts through. None may be nil.
type Ports struct {
	Intents IntentSource
	Speaker Speaker
	Routes  RouteTable
	Store   AddressStore
	Links   Links
	Filter  PacketFilter
	Runtime Runtime
	Overlay Overlay
}

// Speaker speaks BGP.
type Speaker interface {
	Apply(context.Context, bgp.Config) error
	// Routes fails while the engine has not started: nothing is known then.
	Routes() ([]bgp.Route, error)
	Sessions() []bgp.Session
}

// RouteTable is the kernel's, as far as it is the agent's.
type RouteTable interface {
	List() ([]dataplane.Route, error)
	// Apply adds and replaces, and deletes only if prune is set.
	Apply(want []dataplane.Route, prune bool) (dataplane.Result, error)
}

// Overlay is the node's VXLAN device.
type Overlay interface {
	// Find returns the overlay addresses on it, and whether it is there.
	Find() (addresses []netip.Addr, there bool, err error)
	// Apply makes it as wanted, nil for none, and removes only if prune is set.
	Apply(want *dataplane.Overlay, prune bool) (dataplane.OverlayResult, error)
}

// AddressStore is the node's, shared with the CNI plugin.
type AddressStore interface {
	Read() (store.State, error)
	// Update changes the state under the lock.
	Update(func(*store.State) error) error
}

// Links tells about the node's links.
type Links interface {
	// Addresses are the node's own, without those of pods.
	Addresses() ([]netip.Prefix, error)
	// Candidates are those of them that the rule finds, the preferred first.
	Candidates(dataplane.AddressRule) ([]netip.Addr, error)
	// Pods are the names of the host ends of the pods' links that exist.
	Pods() ([]string, error)
	// PodRoutes are the kernel's routes to pods.
	PodRoutes() ([]dataplane.PodRoute, error)
	// UplinkMTU is the smallest of the uplinks'.
	UplinkMTU() (uint32, error)
	// Prepare sets what forwarding needs, also on links that came later.
	Prepare() error
}

// PacketFilter is the node's nft table, as far as it is ours.
type PacketFilter interface {
	// Look tells what it holds, and what the node's default routes are. With an
	// error it tells what it knows.
	Look() (plan.NAT, error)
	Apply(want dataplane.Filter) error
}

// Runtime is the node's container runtime, as far as it must be told of us.
type Runtime interface {
	// Keep keeps the configuration that names our plugin where the runtime looks
	// for it, from the first time that ready is true.
	Keep(ready bool) (install.Found, error)
}

// IntentSource gives what the API wants of this node.
type IntentSource interface {
	// Current returns the newest Intent known, and where it is from. ok is
	// false while there has never been any.
	Current(context.Context) (in plan.Intent, source Source, ok bool)
}

// Source says where an Intent is from.
type Source string

const (
	// FromAPI is read from synced caches of the API server.
	FromAPI Source = view.FromAPI
	// FromMemory is what the last agent on this node remembered on disk.
	FromMemory Source = view.FromSnapshot
)
