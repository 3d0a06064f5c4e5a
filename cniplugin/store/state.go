// Package store is a node's address store: one file on tmpfs under one lock,
// shared by the agent (which creates it and writes the leases) and the CNI
// plugin (which allocates and frees addresses).
//
// Invariants: an address has at most one holder; only the agent creates the
// store; a reader sees the whole of a change or nothing of it (write to a
// temporary file, rename); the lock is an flock(2), so it dies with its holder.
package store

import (
	"net/netip"
	"time"
)

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
	// Reserved are ranges that no pod gets, sorted.
	Reserved []netip.Prefix `json:"reserved,omitempty"`
}

// Kind says what holds an address.
type Kind string

const (
	// KindPod is a pod's interface, wired by us: it lives as long as HostVeth.
	KindPod Kind = "pod"
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
	HostVeth  string `json:"hostVeth,omitempty"`
	// BootID and At (CLOCK_BOOTTIME) say when it was allocated.
	BootID string        `json:"bootID,omitempty"`
	At     time.Duration `json:"at,omitempty"`
}

// Release is one address freed.
type Release struct {
	Address netip.Addr `json:"address"`
	// At is CLOCK_BOOTTIME.
	At time.Duration `json:"at"`
}
