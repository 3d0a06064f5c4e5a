package node

import (
	"errors"
	"fmt"
	"log/slog"

	"fairlead.dev/cniplugin/store"
	"fairlead.dev/dataplane"
)

// RebuiltStore is the AddressStore on disk. When the store is missing or
// unreadable, it makes it anew from the pod routes that the kernel holds:
// pods outlive their store.
type RebuiltStore struct {
	dir       string
	podRoutes func() ([]dataplane.PodRoute, error)
	log       *slog.Logger
	store     *store.Store
}

// OpenStore opens the store in dir or makes it.
func OpenStore(dir string, podRoutes func() ([]dataplane.PodRoute, error), log *slog.Logger) (*RebuiltStore, error) {
	r := &RebuiltStore{dir: dir, podRoutes: podRoutes, log: log}
	return r, r.create()
}

func (r *RebuiltStore) create() error {
	now, err := store.Now()
	if err != nil {
		return err
	}
	routes, err := r.podRoutes()
	if err != nil {
		return fmt.Errorf("list pod routes: %w", err)
	}
	s, made, err := store.Create(r.dir, routes, now)
	if err != nil {
		return err
	}
	if made.Rebuilt {
		r.log.Info("address store made from the kernel's pod routes", "addresses", len(routes), "corruptFile", made.Aside)
	}
	r.store = s
	return nil
}

// Read implements AddressStore.
func (r *RebuiltStore) Read() (store.State, error) {
	s, err := r.store.Read()
	if !lostStore(err) {
		return s, err
	}
	if err := r.create(); err != nil {
		return store.State{}, err
	}
	return r.store.Read()
}

// Update implements AddressStore.
func (r *RebuiltStore) Update(change func(*store.State) error) error {
	err := r.store.Update(change)
	if !lostStore(err) {
		return err
	}
	if err := r.create(); err != nil {
		return err
	}
	return r.store.Update(change)
}

func lostStore(err error) bool {
	return errors.Is(err, store.ErrNotReady) || errors.Is(err, store.ErrCorrupt)
}
