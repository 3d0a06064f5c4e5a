package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"fairlead.dev/cniplugin/store"
	"fairlead.dev/dataplane/nstest"
)

func TestAttached(t *testing.T) {
	with, without := nstest.New(t, "with"), nstest.New(t, "without")
	with.Run(t, "ip", "addr", "add", "198.51.100.7/24", "dev", "lo")
	with.Run(t, "ip", "addr", "add", "2001:db8::7/64", "dev", "lo", "nodad")
	// A folder of the test's own: others come and go in the usual one.
	dir := t.TempDir()
	for _, ns := range []nstest.NS{with, without} {
		if err := os.Symlink(ns.Path(), filepath.Join(dir, ns.Name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"own": "/proc/thread-self/ns/net", "gone": filepath.Join(dir, "nowhere")} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	found, err := attached(dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, with.Name)
	inode, err := store.NamespaceInode(path)
	if err != nil {
		t.Fatal(err)
	}
	want := []netip.Addr{netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("2001:db8::7")}
	if len(found) != 1 || found[0].Netns != path || found[0].NetnsInode != inode || !slices.Equal(found[0].Addresses, want) {
		t.Errorf("found %+v, want %v in %s, inode %d", found, want, path, inode)
	}
	if none, err := attached(filepath.Join(dir, "not-there")); err != nil || len(none) > 0 {
		t.Errorf("without a folder: %v, %v", none, err)
	}
}
