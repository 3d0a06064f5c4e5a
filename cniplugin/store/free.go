package store

import (
	"slices"
	"time"
)

// Free frees what the attachment holds and returns it. Nothing held is success.
func (s *State) Free(a Attachment, now Stamp) []Allocation {
	return s.free(a.holds, now)
}

// Stale lists what the network's attachments of that kind hold that are not among
// valid. Entries rebuilt from the kernel name no network, and are none of them.
func (s *State) Stale(kind Kind, network string, valid []Attachment) []Allocation {
	var stale []Allocation
	for _, held := range s.Allocations {
		if held.Kind == kind && held.Network == network && !slices.ContainsFunc(valid, func(a Attachment) bool { return a.holds(held) }) {
			stale = append(stale, held)
		}
	}
	return stale
}

// Held lists what the attachment holds, by address.
func (s *State) Held(a Attachment) []Allocation {
	var held []Allocation
	for _, h := range s.Allocations {
		if a.holds(h) {
			held = append(held, h)
		}
	}
	return held
}

// AddLimit is how long an ADD may take from its allocation to its end; one that
// took longer undoes itself. LeakGrace is the grace to give to ReleaseLeaks; it
// must be the longer by far.
const (
	AddLimit  = time.Minute
	LeakGrace = 2 * time.Minute
)

// ReleaseLeaks frees the addresses of pods whose host veth is not among live,
// the names that the kernel listed after the time asOf, and returns them.
//
// An entry is written before its veth exists, so a young one is left: younger
// than grace at asOf, in this boot. That is enough because an ADD that took longer
// than AddLimit undoes itself: at asOf the veth of an older entry was there, or
// never will be. asOf must be taken before
// the listing; an entry newer than asOf is then young too.
func (s *State) ReleaseLeaks(live []string, asOf Stamp, grace time.Duration) []Allocation {
	names := make(map[string]bool, len(live))
	for _, name := range live {
		names[name] = true
	}
	return s.free(func(held Allocation) bool {
		young := held.BootID == asOf.BootID && asOf.At-held.At < grace
		return held.Kind == KindPod && !names[held.HostVeth] && !young
	}, asOf)
}

func (s *State) free(gone func(Allocation) bool, now Stamp) []Allocation {
	var freed []Allocation
	s.Allocations = slices.DeleteFunc(s.Allocations, func(held Allocation) bool {
		if !gone(held) {
			return false
		}
		freed = append(freed, held)
		return true
	})
	for _, held := range freed {
		s.release(held, now)
	}
	return freed
}

// release remembers a freed address, unless no lease covers it any more.
func (s *State) release(held Allocation, now Stamp) {
	s.Released = slices.DeleteFunc(s.Released, func(r Release) bool { return r.Address == held.Address })
	if slices.ContainsFunc(s.Leases, func(l Lease) bool { return l.CIDR.Contains(held.Address) }) {
		s.Released = append(s.Released, Release{Address: held.Address, At: now.At})
	}
}
