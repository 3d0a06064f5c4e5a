package store

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Request asks for the addresses of one attachment.
type Request struct {
	Attachment
	// Network is the name of the CNI configuration.
	Network string
	// Namespace and Pod are for people; empty if unknown.
	Namespace, Pod string
	// Netns and NetnsInode go into the entry as they are.
	Netns      string
	NetnsInode uint64
	Now        Stamp
	// Rest is how long a freed address rests if another is free, usually Cooldown.
	Rest time.Duration

	// Pools are those to take from. For KindPod none means every pool that is not
	// IPAMOnly, and one that is gives nothing in any case.
	Pools []string
	// Families that the attachment must have one address of each; none means
	// those of which there is an open block.
	Families []Family
	// Addresses are asked for by name, at most one of a family.
	Addresses []netip.Addr
	// Skip says which addresses not to give, beside the reserved; nil for none.
	Skip func(netip.Addr) bool
}

// Family of an address.
type Family uint8

// Families of addresses.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

// FamilyOf an address.
func FamilyOf(addr netip.Addr) Family {
	if addr.Is4() {
		return IPv4
	}
	return IPv6
}

func (f Family) has(l Lease) bool { return FamilyOf(l.CIDR.Addr()) == f }

func (f Family) String() string { return fmt.Sprintf("IPv%d", uint8(f)) }

// Attachment is one interface of one container.
type Attachment struct {
	// Kind of what is held; empty means KindPod.
	Kind                Kind
	ContainerID, IfName string
	// HostVeth is the name of the host's end of it, for KindPod.
	HostVeth string
}

func (r Request) wants(f Family) bool {
	return len(r.Families) == 0 || slices.Contains(r.Families, f)
}

// holds says that the allocation is the attachment's. One rebuilt from the
// kernel knows no container ID, but the host veth's name is derived from it.
func (a Attachment) holds(held Allocation) bool {
	return held.Kind == a.kind() &&
		(held.ContainerID == a.ContainerID && held.IfName == a.IfName || held.HostVeth != "" && held.HostVeth == a.HostVeth)
}

func (a Attachment) kind() Kind {
	if a.Kind == "" {
		return KindPod
	}
	return a.Kind
}

func (r Request) skips(addr netip.Addr) bool { return r.Skip != nil && r.Skip(addr) }
