package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"

	"fairlead.dev/cniplugin/store"
	"fairlead.dev/dataplane/host"
	"fairlead.dev/dataplane/link"
)

// namespaceDir is where container runtimes and iproute2 keep network namespaces.
const namespaceDir = "/run/netns"

// attached lists the addresses in every network namespace that is bound in dir,
// opened one after the other. Those that go meanwhile have none, nor has our own.
func attached(dir string) ([]store.Found, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // no runtime has made one yet
	}
	if err != nil {
		return nil, fmt.Errorf("list network namespaces: %w", err)
	}
	var out []store.Found
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		found, err := lookApart(path)
		switch {
		case errors.Is(err, store.ErrNoNamespace), errors.Is(err, link.ErrNoNamespace), errors.Is(err, link.ErrOwnNamespace):
			continue
		case err != nil:
			return nil, fmt.Errorf("look into namespace %s: %w", path, err)
		case len(found.Addresses) > 0:
			out = append(out, found)
		}
	}
	return out, nil
}

// lookApart looks from a goroutine of its own: should its thread not come back to
// our namespace, it ends with the goroutine.
func lookApart(path string) (found store.Found, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		found, err = look(path)
	}()
	<-done
	return found, err
}

func look(path string) (store.Found, error) {
	inode, err := store.NamespaceInode(path)
	if err != nil {
		return store.Found{}, err
	}
	ns, err := link.OpenNamespace(path)
	if err != nil {
		return store.Found{}, err
	}
	defer ns.Close()
	found := store.Found{Netns: path, NetnsInode: inode}
	var prefixes []netip.Prefix
	err = ns.Do(func() (err error) {
		prefixes, err = host.Addresses()
		return err
	})
	for _, p := range prefixes {
		found.Addresses = append(found.Addresses, p.Addr())
	}
	return found, err
}
