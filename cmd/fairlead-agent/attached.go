package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"fairlead.dev/cniplugin/store"
	"fairlead.dev/dataplane/host"
)

// namespaceDir is where container runtimes and iproute2 keep network namespaces.
const namespaceDir = "/run/netns"

// attached lists the addresses in every network namespace that is bound in dir.
// Those that go meanwhile have none, nor has our own.
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
		found, err := look(path)
		switch {
		case errors.Is(err, store.ErrNoNamespace), errors.Is(err, host.ErrNoNamespace):
			continue
		case err != nil:
			return nil, fmt.Errorf("look into namespace %s: %w", path, err)
		case len(found.Addresses) > 0:
			out = append(out, found)
		}
	}
	return out, nil
}

func look(path string) (store.Found, error) {
	inode, err := store.NamespaceInode(path)
	if err != nil {
		return store.Found{}, err
	}
	addrs, err := host.AddressesIn(path)
	return store.Found{Netns: path, NetnsInode: inode, Addresses: addrs}, err
}
