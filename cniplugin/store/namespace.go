package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrNoNamespace says that a path leads to no namespace.
var ErrNoNamespace = errors.New("no network namespace")

// NamespaceInode is the number of the namespace at path, of which no two that
// live have the same. Neither the namespace nor a socket is opened.
func NamespaceInode(path string) (uint64, error) {
	var info unix.Stat_t
	var system unix.Statfs_t
	err := unix.Stat(path, &info)
	if err == nil {
		err = unix.Statfs(path, &system)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return 0, fmt.Errorf("%s: %w", path, ErrNoNamespace)
	case err != nil:
		return 0, fmt.Errorf("look at namespace %s: %w", path, err)
	case system.Type != unix.NSFS_MAGIC:
		return 0, fmt.Errorf("%s: %w, a file of another kind", path, ErrNoNamespace)
	}
	return info.Ino, nil
}

// NamespacePaths lists the namespaces that KindIPAM's entries are of, for Look.
func (s *State) NamespacePaths() []string {
	var paths []string
	for _, held := range s.Allocations {
		if held.Kind == KindIPAM && held.Netns != "" {
			paths = append(paths, held.Netns)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// Namespaces says what was seen at the paths of namespaces: the inode, or 0 for
// nothing. What could not be seen is not in it.
type Namespaces map[string]uint64

// Look looks at paths. It says nothing of a path whose folder is not there, or
// where a file is that no namespace is bound to: that is how the machine's
// namespaces look from a container that they are not mounted into. Nor of one in
// /proc, where a container finds its own processes under others' numbers.
func Look(paths []string) Namespaces {
	seen := Namespaces{}
	for _, path := range paths {
		if strings.HasPrefix(filepath.Clean(path), "/proc/") {
			continue
		}
		inode, err := NamespaceInode(path)
		switch {
		case err == nil:
			seen[path] = inode
		case absent(path):
			seen[path] = 0
		}
	}
	return seen
}

// absent says that there is nothing at path, in a folder that is there.
func absent(path string) bool {
	_, err := os.Lstat(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	folder, err := os.Stat(filepath.Dir(path))
	return err == nil && folder.IsDir()
}

// ReleaseGone frees the addresses of KindIPAM whose namespace is gone, by what
// was seen after the time asOf, and returns them. An entry of an earlier boot is
// gone. One newer than asOf is left: it may be of a namespace that was made after
// somebody looked. One whose path was not looked at is left as well.
func (s *State) ReleaseGone(seen Namespaces, asOf Stamp) []Allocation {
	return s.free(func(held Allocation) bool {
		if held.Kind != KindIPAM {
			return false
		}
		if held.BootID != asOf.BootID {
			return true
		}
		inode, looked := seen[held.Netns]
		return looked && inode != held.NetnsInode && held.At < asOf.At
	}, asOf)
}
