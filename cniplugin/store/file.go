package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"fairlead.dev/dataplane"
)

// formatVersion is the State.Version that this program reads and writes.
const formatVersion = 1

// read returns the state and the bytes that it was decoded from.
func (s *Store) read() (State, []byte, error) {
	path := filepath.Join(s.dir, stateFile)
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return State{}, nil, fmt.Errorf("read %s: %w", path, ErrNotReady)
	case err != nil:
		return State{}, nil, fmt.Errorf("%w: %w", ErrIO, err)
	}
	state, err := decode(data)
	if err != nil {
		return State{}, nil, fmt.Errorf("read %s: %w", path, err)
	}
	return state, data, nil
}

// write replaces the state as a whole. Nothing is synced to disk: the store is
// to die with the machine's boot.
func (s *Store) write(data []byte) error {
	temp := filepath.Join(s.dir, tempFile)
	err := os.WriteFile(temp, data, 0o600)
	if err == nil {
		err = os.Rename(temp, filepath.Join(s.dir, stateFile))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("write %s: %w", s.dir, ErrNotReady)
	case err != nil:
		s.sweep() // half a file must not take the last of the room
		return fmt.Errorf("%w: %w", ErrIO, err)
	}
	return nil
}

// sweep removes what a writer that was killed left, under the lock.
func (s *Store) sweep() { _ = os.Remove(filepath.Join(s.dir, tempFile)) }

func encode(s *State) ([]byte, error) {
	s.Version = formatVersion
	data, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode address store: %w", err)
	}
	return append(data, '\n'), nil
}

// decode refuses what would break the store's invariants rather than guess.
func decode(data []byte) (State, error) {
	var s State
	if err := json.Unmarshal(data, &s); err != nil {
		return State{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if s.Version != formatVersion {
		return State{}, fmt.Errorf("%w: format version %d, want %d", ErrCorrupt, s.Version, formatVersion)
	}
	if err := s.validate(); err != nil {
		return State{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return s, nil
}

// validate checks that no address has two holders and that every lease is a block.
func (s *State) validate() error {
	var last netip.Addr
	for _, a := range s.Allocations {
		if !a.Address.IsValid() || a.Address.Compare(last) <= 0 {
			return fmt.Errorf("allocation of %s is not after that of %s", a.Address, last)
		}
		last = a.Address
	}
	for _, l := range s.Leases {
		if !l.CIDR.IsValid() || l.CIDR != l.CIDR.Masked() {
			return fmt.Errorf("lease %s is not a block", l.CIDR)
		}
	}
	return nil
}

// rebuilt is the state that the kernel's pod routes tell of. It has no leases,
// and no container IDs: DEL finds such an entry by its host veth.
func rebuilt(routes []dataplane.PodRoute, now Stamp) State {
	var s State
	for _, r := range routes {
		s.Allocations = append(s.Allocations, Allocation{
			Address: r.Address, Kind: KindPod, HostVeth: r.HostVeth, BootID: now.BootID, At: now.At,
		})
	}
	slices.SortFunc(s.Allocations, compareAllocation)
	s.Allocations = slices.CompactFunc(s.Allocations, func(a, b Allocation) bool { return a.Address == b.Address })
	return s
}

func compareAllocation(a, b Allocation) int { return a.Address.Compare(b.Address) }
