package node

import (
	"errors"
	"log/slog"

	"fairlead.dev/cniplugin/store"
	"fairlead.dev/dataplane"
)

// RebuiltStore is the AddressStore on disk. When the store is missing or
// unreadable, it makes it anew from the pod routes that the kernel holds:
// pods outlive their store.
//
// An ADD may have taken its addresses from the store before, and make their
// routes after they were listed. So for as long as an ADD can run, what the
// kernel routes to a pod and nobody holds is given to that pod before each change.
type RebuiltStore struct {
	dir       string
	podRoutes func() ([]dataplane.PodRoute, error)
	log       *slog.Logger
	store     *store.Store
	// opened is when the store was opened or made: an agent that starts does not
	// know when the store was made.
	opened store.Stamp
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
	s, made, err := store.Create(r.dir, r.podRoutes, now)
	if err != nil {
		return err
	}
	if made.Rebuilt {
		r.log.Info("address store made from the kernel's pod routes", "addresses", made.Addresses, "corruptFile", made.Aside)
	}
	r.store, r.opened = s, now
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
	err := r.update(change)
	if !lostStore(err) {
		return err
	}
	if err := r.create(); err != nil {
		return err
	}
	return r.update(change)
}

func (r *RebuiltStore) update(change func(*store.State) error) error {
	now, err := store.Now()
	if err != nil {
		return err
	}
	settling := now.At-r.opened.At < store.LeakGrace
	if settling {
		if settling, err = r.routesUnheld(now); err != nil {
			return err
		}
	}
	return r.store.Update(func(s *store.State) error {
		if settling {
			// Listed again under the lock: DEL takes the route away first, and
			// frees after that, so what it has freed by now has no route.
			for _, a := range s.Adopt(r.routesNow(), now) {
				r.log.Info("address given to the pod that the kernel routes it to", "address", a.Address, "link", a.HostVeth)
			}
		}
		return change(s)
	})
}

// routesUnheld says whether the kernel routes an address that nobody holds.
func (r *RebuiltStore) routesUnheld(now store.Stamp) (bool, error) {
	s, err := r.store.Read()
	if err != nil {
		return false, err
	}
	return len(s.Adopt(r.routesNow(), now)) > 0, nil
}

// routesNow is none when they cannot be listed: pods that come and go may upset
// that. The next change looks again.
func (r *RebuiltStore) routesNow() []dataplane.PodRoute {
	routes, err := r.podRoutes()
	if err != nil {
		r.log.Warn("pod routes not compared with the address store", "err", err)
		return nil
	}
	return routes
}

func lostStore(err error) bool {
	return errors.Is(err, store.ErrNotReady) || errors.Is(err, store.ErrCorrupt)
}
