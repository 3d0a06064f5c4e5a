package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// cgroupRoot holds one hierarchy, or one for each controller (cgroup v1).
const cgroupRoot = "/sys/fs/cgroup"

// cgroupPrefix marks the folders that labs have in the cgroup hierarchies, which
// no namespace of a lab hides.
const cgroupPrefix = "fl-lab-"

// CgroupName is the folder, in each hierarchy, that holds all cgroups of an instance.
func CgroupName(instance string) string { return cgroupPrefix + instance }

// RemoveCgroups removes a folder, in each hierarchy, whose processes have been
// killed: the kernel lets it go once the last of them is quite gone.
func RemoveCgroups(ctx context.Context, folder string) error {
	var roots []string
	for _, hierarchy := range []string{cgroupRoot, cgroupRoot + "/*"} {
		found, err := filepath.Glob(filepath.Join(hierarchy, folder))
		if err != nil {
			return fmt.Errorf("list cgroups: %w", err)
		}
		roots = append(roots, found...)
	}
	for _, root := range roots {
		err := poll(ctx, commandBound, 20*time.Millisecond, "remove cgroup "+root, func(context.Context) error {
			return removeCgroup(root)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// removeCgroup removes a folder from the leaves on. What is gone already is no error.
func removeCgroup(root string) error {
	var folders []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			folders = append(folders, path)
		}
		return ignoreNotExist(err)
	})
	for _, folder := range slices.Backward(folders) {
		err = errors.Join(err, ignoreNotExist(unix.Rmdir(folder)))
	}
	return err
}

func ignoreNotExist(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
