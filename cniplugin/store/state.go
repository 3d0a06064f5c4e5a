// Package store is a node's address store: one file on tmpfs under one lock,
// shared by the agent (which creates it and writes the leases) and the CNI
// plugin (which allocates and frees addresses).
//
// Invariants: an address has at most one holder; only the agent creates the
// store; a reader sees the whole of a change or nothing of it (write to a
// temporary file, rename); the lock is an flock(2), so it dies with its holder.
package store

import (
	"encoding/json"
	"net/netip"
	"time"
)

// Unknown are an object's fields that this program has no name for: a newer one
// wrote them. They go back into the file as they came out of it.
type Unknown map[string]json.RawMessage

// State is the whole content of the store.
type State struct {
	// Version of the format, 1.
	Version int `json:"version"`
	// Leases, sorted by CIDR. Written by the agent only.
	Leases []Lease `json:"leases"`
	// Allocations, sorted by address. Written under the lock by the plugin, and
	// by the agent when it frees a leak or rebuilds the store from the kernel.
	Allocations []Allocation `json:"allocations"`
	// Released are the addresses freed, oldest first, for reuse in that order.
	Released []Release `json:"released,omitempty"`
	// CooldownWaived counts allocations that took an address whose cooldown
	// was not over because nothing else was free.
	CooldownWaived uint64 `json:"cooldownWaived,omitempty"`

	Unknown Unknown `json:"-"`
}

// Lease is one block of this node.
type Lease struct {
	CIDR netip.Prefix `json:"cidr"`
	// UID is the IPBlock's.
	UID string `json:"uid"`
	// Pool is the IPPool's name.
	Pool string `json:"pool"`
	// Closed blocks give out no address.
	Closed bool `json:"closed,omitempty"`
	// IPAMOnly blocks are of a pool that is not advertised: no pod of ours gets
	// their addresses, only fairlead-ipam hands them out, by the pool's name.
	IPAMOnly bool `json:"ipamOnly,omitempty"`
	// Announced blocks are told to other routers, or are about to be.
	Announced bool `json:"announced,omitempty"`
	// Reserved are ranges that no pod gets, sorted.
	Reserved []netip.Prefix `json:"reserved,omitempty"`

	Unknown Unknown `json:"-"`
}

// Kind says what holds an address.
type Kind string

const (
	// KindPod is a pod's interface, wired by us: it lives as long as HostVeth.
	KindPod Kind = "pod"
	// KindIPAM is an interface that another plugin wired, with an address of
	// ours: it lives as long as the pod's namespace.
	KindIPAM Kind = "ipam"
)

// Allocation is one address in use.
type Allocation struct {
	Address     netip.Addr `json:"address"`
	Kind        Kind       `json:"kind"`
	ContainerID string     `json:"containerID,omitempty"`
	IfName      string     `json:"ifName,omitempty"`
	// Network is the name of the CNI configuration: GC speaks for one network.
	// It is empty in an entry rebuilt from the kernel.
	Network string `json:"network,omitempty"`
	// Namespace and Pod are K8S_POD_NAMESPACE and K8S_POD_NAME, for people.
	Namespace string `json:"namespace,omitempty"`
	Pod       string `json:"pod,omitempty"`
	// HostVeth is the host's end of the link, for KindPod.
	HostVeth string `json:"hostVeth,omitempty"`
	// Netns is the path of the pod's namespace and NetnsInode what was there, for
	// KindIPAM. A path may come to lead to another namespace.
	Netns      string `json:"netns,omitempty"`
	NetnsInode uint64 `json:"netnsInode,omitempty"`
	// BootID and At (CLOCK_BOOTTIME) say when it was allocated.
	BootID string        `json:"bootID,omitempty"`
	At     time.Duration `json:"at,omitempty"`

	Unknown Unknown `json:"-"`
}

// Release is one address freed.
type Release struct {
	Address netip.Addr `json:"address"`
	// At is CLOCK_BOOTTIME.
	At time.Duration `json:"at"`

	Unknown Unknown `json:"-"`
}
