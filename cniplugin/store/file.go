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

// read returns the state and the bytes that it was decoded from, also those of a
// state that is corrupt.
func (s *Store) read(readFile func(name string) ([]byte, error)) (State, []byte, error) {
	data, err := readFile(stateFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return State{}, nil, fmt.Errorf("read %s: %w", s.dir, ErrNotReady)
	case err != nil:
		return State{}, nil, fmt.Errorf("%w: %s: %w", ErrIO, s.dir, err)
	}
	state, err := decode(data)
	if err != nil {
		return State{}, data, fmt.Errorf("read %s: %w", filepath.Join(s.dir, stateFile), err)
	}
	return state, data, nil
}

// write replaces the state as a whole. Nothing is synced to disk: the store is
// to die with the machine's boot.
func (s *Store) write(dir *os.Root, data []byte) error {
	err := dir.WriteFile(tempFile, data, 0o600)
	if err == nil {
		err = dir.Rename(tempFile, stateFile)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("write %s: %w", s.dir, ErrNotReady)
	case err != nil:
		sweep(dir) // half a file must not take the last of the room
		return fmt.Errorf("%w: %s: %w", ErrIO, s.dir, err)
	}
	return nil
}

// sweep removes what a writer that was killed left, under the lock.
func sweep(dir *os.Root) { _ = dir.Remove(tempFile) }

func encode(s *State) ([]byte, error) {
	s.Version = formatVersion
	if !s.hasUnknown() {
		return format(s), nil
	}
	data, err := s.marshalAll()
	if err != nil {
		return nil, fmt.Errorf("encode address store: %w", err)
	}
	return append(data, '\n'), nil
}

// decode refuses what would break the store's invariants rather than guess. What
// it does not know it keeps.
func decode(data []byte) (State, error) {
	if s, ok := parse(string(data)); ok && s.Version == formatVersion && s.validate() == nil {
		return s, nil
	}
	s, err := unmarshal(data)
	if newer := formatOf(data); newer > formatVersion {
		return State{}, fmt.Errorf("%w: %w: format version %d, this program knows %d", ErrCorrupt, ErrNewer, newer, formatVersion)
	}
	if err != nil {
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

func unmarshal(data []byte) (s State, err error) {
	if err := json.Unmarshal(data, &s); err != nil {
		return s, err
	}
	return s, s.learn(data)
}

// formatOf is the version that the file says, 0 for none.
func formatOf(data []byte) int {
	var head struct {
		Version int `json:"version"`
	}
	_ = json.Unmarshal(data, &head)
	return head.Version
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

// rebuilt are the entries that the kernel's pod routes tell of, without
// container IDs: DEL finds such an entry by its host veth.
func rebuilt(routes []dataplane.PodRoute, now Stamp) []Allocation {
	entries := make([]Allocation, 0, len(routes))
	for _, r := range routes {
		entries = append(entries, Allocation{
			Address: r.Address, Kind: KindPod, HostVeth: r.HostVeth, BootID: now.BootID, At: now.At,
		})
	}
	return entries
}

// salvage are the entries of a state that cannot be used, such as one of a newer
// format, of which the kernel's pod routes do not tell.
func salvage(data []byte) []Allocation {
	var s State
	var otherwise *json.UnmarshalTypeError // the rest is read all the same
	if err := json.Unmarshal(data, &s); err != nil && !errors.As(err, &otherwise) {
		return nil
	}
	return slices.DeleteFunc(s.Allocations, func(a Allocation) bool { return a.Kind == KindPod || !a.Address.IsValid() })
}

// sort puts the allocations in order; of two of one address the first stays.
func (s *State) sort() {
	slices.SortStableFunc(s.Allocations, compareAllocation)
	s.Allocations = slices.CompactFunc(s.Allocations, func(a, b Allocation) bool { return a.Address == b.Address })
}

func compareAllocation(a, b Allocation) int { return a.Address.Compare(b.Address) }
