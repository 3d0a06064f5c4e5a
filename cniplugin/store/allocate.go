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
	// ErrNoLease says that no block of this node gives out such addresses.
	ErrNoLease = errors.New("no open address block is leased to this node")
	// ErrExhausted says that every block of a family is full.
	ErrExhausted = errors.New("no free address")
	// ErrHeld says that the attachment has addresses already.
	ErrHeld = errors.New("attachment holds addresses already")
	// ErrTaken says that an address that was asked for is somebody else's.
	ErrTaken = errors.New("is in use")
	// ErrNotHere says that an address that was asked for is not this node's to give.
	ErrNotHere = errors.New("cannot be given on this node")
)

// maxReleased bounds State.Released, and so the file, where blocks are so large
// that an address never comes up for reuse. It is above what the usual blocks
// hold together. The oldest are forgotten first, and only when cool.
const maxReleased = 1024

// Cooldown is the usual rest of a freed address: about as long as endpoints,
// connection tables and clients' caches may still send to the pod that had it.
const Cooldown = 30 * time.Second

// Allocate gives the attachment one address of each family that it asks for, or
// of which an open block is leased, IPv4 first: all of them or, with an error,
// none. The lowest address never used comes first, then the one released longest
// ago; if even that is within its cooldown, it is given and counted in
// CooldownWaived. One that is asked for by name does not wait for its turn.
func (s *State) Allocate(r Request) ([]netip.Addr, error) {
	if i := slices.IndexFunc(s.Allocations, r.holds); i >= 0 {
		return nil, fmt.Errorf("container %s, interface %s, address %s: %w", r.ContainerID, r.IfName, s.Allocations[i].Address, ErrHeld)
	}
	s.forget(r.Now, r.Rest)
	var picks []pick
	for _, f := range []Family{IPv4, IPv6} {
		if !r.wants(f) {
			continue
		}
		p, err := s.choose(f, r)
		if err != nil {
			return nil, err
		}
		if p.addr.IsValid() {
			picks = append(picks, p)
		}
	}
	if len(picks) == 0 {
		return nil, s.noLease(r)
	}
	addrs := make([]netip.Addr, len(picks))
	for i, p := range picks {
		s.take(p, r)
		addrs[i] = p.addr
	}
	return addrs, nil
}

// choose finds the address of one family. Without an error it may be none, if
// the family need not be.
func (s *State) choose(f Family, r Request) (pick, error) {
	if i := slices.IndexFunc(r.Addresses, func(a netip.Addr) bool { return FamilyOf(a) == f }); i >= 0 {
		return s.claim(r.Addresses[i], r)
	}
	open := s.openLeases(f, r)
	switch {
	case len(open) == 0 && len(r.Families) == 0:
		return pick{}, nil
	case len(open) == 0:
		return pick{}, fmt.Errorf("%w: %s: %s", ErrNoLease, f, s.describe(r, f.has))
	}
	p, ok := s.pick(open, r)
	if !ok {
		return pick{}, fmt.Errorf("%w: %s: %s", ErrExhausted, f, s.describe(r, f.has))
	}
	return p, nil
}

// claim is the choice of an address that is asked for.
func (s *State) claim(addr netip.Addr, r Request) (pick, error) {
	i := slices.IndexFunc(s.Leases, func(l Lease) bool { return l.CIDR.Contains(addr) && l.serves(r) })
	switch {
	case i < 0:
		return pick{}, fmt.Errorf("address %s %w: %s", addr, ErrNotHere, s.describe(r, everyLease))
	case s.Leases[i].Closed:
		return pick{}, fmt.Errorf("address %s %w: block %s is closed", addr, ErrNotHere, s.Leases[i].CIDR)
	case !s.Leases[i].gives(addr), r.skips(addr):
		return pick{}, fmt.Errorf("address %s %w: it is reserved", addr, ErrNotHere)
	}
	if i, taken := slices.BinarySearchFunc(s.Allocations, Allocation{Address: addr}, compareAllocation); taken {
		return pick{}, fmt.Errorf("address %s %w by %s", addr, ErrTaken, s.Allocations[i].holder())
	}
	j := slices.IndexFunc(s.Released, func(old Release) bool { return old.Address == addr })
	return pick{addr: addr, waived: j >= 0 && !r.Now.past(s.Released[j].At, r.Rest)}, nil
}

// holder names who holds an address, for people.
func (a Allocation) holder() string {
	switch {
	case a.Pod != "":
		return fmt.Sprintf("pod %s/%s", a.Namespace, a.Pod)
	case a.Kind == KindForeign:
		return "another network of this node"
	case a.Kind == KindOverlay:
		return "the node itself, for its overlay"
	case a.ContainerID != "":
		return "container " + a.ContainerID
	default:
		return "the pod behind link " + a.HostVeth
	}
}

// serves says that the lease is of a pool that the request may take from.
func (l Lease) serves(r Request) bool {
	if r.kind() == KindPod && l.IPAMOnly {
		return false
	}
	return slices.Contains(r.Pools, l.Pool) || r.kind() == KindPod && len(r.Pools) == 0
}

func (s *State) openLeases(f Family, r Request) []Lease {
	var open []Lease
	for _, l := range s.Leases {
		if !l.Closed && l.serves(r) && f.has(l) {
			open = append(open, l)
		}
	}
	return open
}

// Serves says that an attachment of that kind may get addresses of a block, open
// or closed, of those pools. See Request.Pools.
func (s *State) Serves(kind Kind, pools []string) bool {
	r := Request{Attachment: Attachment{Kind: kind}, Pools: pools}
	return slices.ContainsFunc(s.Leases, func(l Lease) bool { return l.serves(r) })
}

// pick is a choice not yet taken.
type pick struct {
	addr netip.Addr
	// waived is set if the address is within its cooldown.
	waived bool
}

func (s *State) pick(open []Lease, r Request) (pick, bool) {
	used := make(map[netip.Addr]bool, len(s.Allocations)+len(s.Released))
	for _, a := range s.Allocations {
		used[a.Address] = true
	}
	oldest := slices.IndexFunc(s.Released, func(old Release) bool {
		return !used[old.Address] && !r.skips(old.Address) &&
			slices.ContainsFunc(open, func(l Lease) bool { return l.gives(old.Address) })
	})
	for _, old := range s.Released {
		used[old.Address] = true
	}
	for _, l := range open {
		if addr, ok := l.lowest(func(a netip.Addr) bool { return used[a] || r.skips(a) }); ok {
			return pick{addr: addr}, true
		}
	}
	if oldest < 0 {
		return pick{}, false
	}
	old := s.Released[oldest]
	return pick{addr: old.Address, waived: !r.Now.past(old.At, r.Rest)}, true
}

func (s *State) take(p pick, r Request) {
	if p.waived {
		s.CooldownWaived++
	}
	s.Released = slices.DeleteFunc(s.Released, func(old Release) bool { return old.Address == p.addr })
	held := Allocation{
		Address: p.addr, Kind: r.kind(), ContainerID: r.ContainerID, IfName: r.IfName, HostVeth: r.HostVeth,
		Network: r.Network, Namespace: r.Namespace, Pod: r.Pod, Netns: r.Netns, NetnsInode: r.NetnsInode,
		BootID: r.Now.BootID, At: r.Now.At,
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

func (s *State) noLease(r Request) error {
	if len(s.Leases) == 0 {
		return ErrNoLease
	}
	return fmt.Errorf("%w: %s", ErrNoLease, s.describe(r, everyLease))
}

func everyLease(Lease) bool { return true }

// describe tells of each block what it gives to such a request, or why nothing.
func (s *State) describe(r Request, of func(Lease) bool) string {
	var parts []string
	for _, l := range s.Leases {
		capacity, used := s.Usage(l.CIDR)
		switch {
		case !of(l):
		case l.IPAMOnly && r.kind() == KindPod:
			parts = append(parts, fmt.Sprintf("block %s of pool %s is for fairlead-ipam alone", l.CIDR, l.Pool))
		case !l.serves(r):
			parts = append(parts, fmt.Sprintf("block %s is of pool %s, not of %s", l.CIDR, l.Pool, strings.Join(r.Pools, ", ")))
		case l.Closed:
			parts = append(parts, fmt.Sprintf("block %s is closed", l.CIDR))
		default:
			parts = append(parts, fmt.Sprintf("block %s uses %d of %d", l.CIDR, used, capacity))
		}
	}
	if len(parts) == 0 {
		return "no block is leased to it"
	}
	return strings.Join(parts, ", ")
}
