package node_test

import (
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"testing"

	"fairlead.dev/cniplugin/rundir"
	"fairlead.dev/cniplugin/store"
	"fairlead.dev/controller/node"
	"fairlead.dev/dataplane"
)

// An ADD that began on a store that is gone ends on the one that was made since:
// its addresses are not given to anyone else.
func TestStoreLearnsOfAnADDThatOutlivedIt(t *testing.T) {
	pod := dataplane.PodRoute{Address: netip.MustParseAddr("10.0.0.7"), HostVeth: "flabc"}
	for _, tt := range []struct {
		name string
		// listings are what the kernel tells after the store was made.
		listings [][]dataplane.PodRoute
		held     int
	}{
		{"wired since", [][]dataplane.PodRoute{{pod}, {pod}}, 1},
		{"deleted meanwhile", [][]dataplane.PodRoute{{pod}, {}}, 0},
		{"nothing new", [][]dataplane.PodRoute{{}}, 0},
		{"not to be listed", nil, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			listings := append([][]dataplane.PodRoute{{}}, tt.listings...)
			routes := func() ([]dataplane.PodRoute, error) {
				if len(listings) == 0 {
					return nil, errors.New("no more is told")
				}
				next := listings[0]
				listings = listings[1:]
				return next, nil
			}
			s, err := node.OpenStore(filepath.Join(t.TempDir(), rundir.Store), routes, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			seen := -1
			if err := s.Update(func(state *store.State) error { seen = len(state.Allocations); return nil }); err != nil {
				t.Fatal(err)
			}
			if seen != tt.held {
				t.Errorf("%d addresses held before the change, want %d", seen, tt.held)
			}
			state, err := s.Read()
			if err != nil || len(state.Allocations) != tt.held {
				t.Errorf("held: %+v, %v", state.Allocations, err)
			}
		})
	}
}
