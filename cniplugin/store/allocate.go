package store

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Errors of Allocate.
var (
	// ErrNoLease says that no block of this node gives out addresses.
	ErrNoLease = errors.New("no open address block is leased to this node")
	// ErrExhausted says that every block of a family is full.
	ErrExhausted = errors.New("no free address")
	// ErrHeld says that the attachment has addresses already.
	ErrHeld = errors.New("attachment holds addresses already")
)

// maxReleased bounds State.Released, and so the file, where blocks are so large
// that an address never comes up for reuse. It is above what the usual blocks
// hold together. The oldest are forgotten first, and only when cool.
const maxReleased = 1024

// Cooldown is the usual rest of a freed address: about as long as endpoints,
// connection tables and clients' caches may still send to the pod that had it.
const Cooldown = 30 * time.Second

// Request asks for the addresses of one attachment.
type Request struct {
	Attachment
	// Network is the name of the CNI configuration.
	Network string
	// Namespace and Pod are for people; empty if unknown.
	Namespace, Pod string
	Now            Stamp
	// Rest is how long a freed address rests if another is free, usually Cooldown.
	Rest time.Duration
}

// Attachment is one interface of one container.
type Attachment struct {
	ContainerID, IfName string
	// HostVeth is the name of the host's end of it.
	HostVeth string
}

// Allocate gives the attachment one address of each family of which an open
// block is leased, IPv4 first: all of them or, with an error, none. The lowest
// address never used comes first, then the one released longest ago; if even
// that is within its cooldown, it is given and counted in CooldownWaived.
func (s *State) Allocate(r Request) ([]netip.Addr, error) {
	if i := slices.IndexFunc(s.Allocations, r.holds); i >= 0 {
		return nil, fmt.Errorf("container %s, interface %s, address %s: %w", r.ContainerID, r.IfName, s.Allocations[i].Address, ErrHeld)
	}
	s.forget(r.Now, r.Rest)
	var picks []pick
	for _, is4 := range []bool{true, false} {
		open := s.openLeases(is4)
		if len(open) == 0 {
			continue
		}
		p, ok := s.pick(open, r.Now, r.Rest)
		if !ok {
			return nil, s.exhausted(is4)
		}
		picks = append(picks, p)
	}
	if len(picks) == 0 {
		return nil, s.noLease()
	}
	addrs := make([]netip.Addr, len(picks))
	for i, p := range picks {
		s.take(p, r)
		addrs[i] = p.addr
	}
	return addrs, nil
}

// holds says that the allocation is the attachment's. One rebuilt from the
// kernel knows no container ID, but the host veth's name is derived from it.
func (a Attachment) holds(held Allocation) bool {
	return held.ContainerID == a.ContainerID && held.IfName == a.IfName ||
		held.HostVeth != "" && held.HostVeth == a.HostVeth
}

func (s *State) openLeases(is4 bool) []Lease {
	var open []Lease
	for _, l := range s.Leases {
		if !l.Closed && l.CIDR.Addr().Is4() == is4 {
			open = append(open, l)
		}
	}
	return open
}

// pick is a choice not yet taken.
type pick struct {
	addr netip.Addr
	// waived is set if the address is within its cooldown.
	waived bool
}

func (s *State) pick(open []Lease, now Stamp, rest time.Duration) (pick, bool) {
	used := make(map[netip.Addr]bool, len(s.Allocations)+len(s.Released))
	for _, a := range s.Allocations {
		used[a.Address] = true
	}
	oldest := slices.IndexFunc(s.Released, func(r Release) bool {
		return !used[r.Address] && slices.ContainsFunc(open, func(l Lease) bool { return l.gives(r.Address) })
	})
	for _, r := range s.Released {
		used[r.Address] = true
	}
	for _, l := range open {
		if addr, ok := l.lowest(used); ok {
			return pick{addr: addr}, true
		}
	}
	if oldest < 0 {
		return pick{}, false
	}
	r := s.Released[oldest]
	return pick{addr: r.Address, waived: !now.past(r.At, rest)}, true
}

func (s *State) take(p pick, r Request) {
	if p.waived {
		s.CooldownWaived++
	}
	s.Released = slices.DeleteFunc(s.Released, func(old Release) bool { return old.Address == p.addr })
	held := Allocation{
		Address: p.addr, Kind: KindPod, ContainerID: r.ContainerID, IfName: r.IfName, HostVeth: r.HostVeth,
		Network: r.Network, Namespace: r.Namespace, Pod: r.Pod, BootID: r.Now.BootID, At: r.Now.At,
	}
	i, _ := slices.BinarySearchFunc(s.Allocations, held, compareAllocation)
	s.Allocations = slices.Insert(s.Allocations, i, held)
}

func (s *State) forget(now Stamp, rest time.Duration) {
	n := 0
	for len(s.Released)-n > maxReleased && now.past(s.Released[n].At, rest) {
		n++
	}
	s.Released = slices.Delete(s.Released, 0, n)
}

// exhausted tells of every block of the family why it gives nothing.
func (s *State) exhausted(is4 bool) error {
	return fmt.Errorf("%w: %s: %s", ErrExhausted, family(is4), s.describe(func(l Lease) bool { return l.CIDR.Addr().Is4() == is4 }))
}

func (s *State) noLease() error {
	if len(s.Leases) == 0 {
		return ErrNoLease
	}
	return fmt.Errorf("%w: %s", ErrNoLease, s.describe(func(Lease) bool { return true }))
}

func (s *State) describe(in func(Lease) bool) string {
	var parts []string
	for _, l := range s.Leases {
		if !in(l) {
			continue
		}
		if l.Closed {
			parts = append(parts, fmt.Sprintf("block %s is closed", l.CIDR))
			continue
		}
		capacity, used := s.Usage(l.CIDR)
		parts = append(parts, fmt.Sprintf("block %s uses %d of %d", l.CIDR, used, capacity))
	}
	return strings.Join(parts, ", ")
}

func family(is4 bool) string {
	if is4 {
		return "IPv4"
	}
	return "IPv6"
}
