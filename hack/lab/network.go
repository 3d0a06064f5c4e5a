package lab

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"

	"fairlead.dev/hack/lab/topology"
)

// lay makes a wiring true. Nothing of it ever shows up in the host's own namespace.
func (l *Lab) lay(ctx context.Context, w topology.Wiring) error {
	var names strings.Builder
	for _, role := range w.Namespaces {
		fmt.Fprintln(&names, "netns add", l.NSName(role))
	}
	if _, err := run(ctx, names.String(), "ip", "-batch", "-"); err != nil {
		return fmt.Errorf("make namespaces: %w", err)
	}
	if err := each(ctx, slices.Collect(maps.Keys(w.Sysctls)), func(ctx context.Context, role string) error {
		_, err := l.Exec(ctx, role, append([]string{"sysctl", "-q", "-w"}, w.Sysctls[role]...)...)
		return err
	}); err != nil {
		return fmt.Errorf("set sysctls: %w", err)
	}
	if _, err := run(ctx, strings.Join(w.Links, "\n"), "ip", "-batch", "-"); err != nil {
		return fmt.Errorf("make links: %w", err)
	}
	return each(ctx, slices.Collect(maps.Keys(w.Inside)), func(ctx context.Context, role string) error {
		_, err := run(ctx, strings.Join(w.Inside[role], "\n"), "ip", "-n", l.NSName(role), "-batch", "-")
		return err
	})
}

// each runs f for all items at once and waits; the first error cancels the rest.
func each[T any](ctx context.Context, items []T, f func(context.Context, T) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, item := range items {
		g.Go(func() error { return f(ctx, item) })
	}
	return g.Wait()
}

// namespaces lists those of this instance that exist.
func (l *Lab) namespaces() ([]string, error) {
	entries, err := os.ReadDir(netnsDir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), l.NSName("")) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// removeNamespaces ends whatever still runs inside the given namespaces and
// deletes them, with every link in them.
func removeNamespaces(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	var errs []error
	inodes := map[uint64]bool{}
	var lines strings.Builder
	for _, name := range names {
		if info, err := os.Stat(nsPath(name)); err == nil {
			inodes[info.Sys().(*syscall.Stat_t).Ino] = true
		}
		fmt.Fprintln(&lines, "netns del", name)
	}
	errs = append(errs, killInside(inodes))
	if _, err := run(ctx, lines.String(), "ip", "-force", "-batch", "-"); err != nil {
		errs = append(errs, fmt.Errorf("delete namespaces: %w", err))
	}
	return errors.Join(errs...)
}

// killInside ends the processes whose network namespace is one of ours: what a
// lab that was itself killed could not record, and shells left in a namespace.
func killInside(inodes map[uint64]bool) error {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return fmt.Errorf("list processes: %w", err)
	}
	var errs []error
	for _, dir := range dirs {
		info, err := os.Stat(filepath.Join(dir, "ns/net"))
		if err != nil || !inodes[info.Sys().(*syscall.Stat_t).Ino] {
			continue // a process that is gone, or not ours
		}
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == os.Getpid() {
			continue
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, fmt.Errorf("kill %d: %w", pid, err))
		}
	}
	return errors.Join(errs...)
}
