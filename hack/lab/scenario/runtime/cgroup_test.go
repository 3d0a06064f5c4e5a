package runtime

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fairlead.dev/hack/lab"
)

// cgroupPrefix marks the folders that a lab's containers have in the cgroup
// hierarchies, which no namespace of ours hides.
const cgroupPrefix = "fl-lab-"

func cgroupOf(instance string) string { return cgroupPrefix + instance }

// cgroupFolders finds a folder in all hierarchies, of version 1 and 2.
func cgroupFolders(t *testing.T, pattern string) []string {
	t.Helper()
	var found []string
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, paths...)
	}
	return found
}

// removeCgroups removes a folder of containers that have ended.
func removeCgroups(t *testing.T, name string) {
	t.Helper()
	for _, root := range cgroupFolders(t, name) {
		var folders []string
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				folders = append(folders, path)
			}
			return err
		})
		for _, f := range slices.Backward(folders) {
			err = errors.Join(err, unix.Rmdir(f))
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("remove cgroup %s: %v", root, err)
		}
	}
}

// sweepCgroups removes what a killed test left.
func sweepCgroups(t *testing.T) {
	t.Helper()
	live, err := lab.Instances()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range cgroupFolders(t, cgroupPrefix+"*") {
		instance := strings.TrimPrefix(filepath.Base(path), cgroupPrefix)
		if !slices.Contains(live, instance) {
			removeCgroups(t, cgroupOf(instance))
		}
	}
}
