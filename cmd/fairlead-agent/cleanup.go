package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"fairlead.dev/cniplugin/install"
	"fairlead.dev/cniplugin/rundir"
	"fairlead.dev/cniplugin/store"
	"fairlead.dev/config"
	"fairlead.dev/controller/node"
	"fairlead.dev/dataplane/filter"
	"fairlead.dev/dataplane/host"
	"fairlead.dev/dataplane/link"
	"fairlead.dev/dataplane/overlay"
	"fairlead.dev/dataplane/route"
)

// cleanup takes what is ours off the node: the last step before Fairlead is
// uninstalled, when no pod uses it any more. The peers drop our routes when
// their graceful-restart time has passed, which by then nothing needs.
func cleanup(_ context.Context, cfg config.Agent, log *slog.Logger) error {
	release, err := node.Own(cfg.RunDir)
	if err != nil {
		return fmt.Errorf("stop it before cleanup: %w", err)
	}
	defer release()
	if err := retire(storeDir(cfg)); err != nil {
		return err
	}
	memory, err := remember(cfg, "")
	if err != nil {
		return err
	}
	var errs []error
	for _, step := range steps(cfg, memory) {
		errs = append(errs, step())
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	// Whoever else keeps something in them keeps them.
	_ = os.Remove(cfg.RunDir)
	_ = os.Remove(cfg.StateDir)
	log.Info("node is clean")
	return nil
}

// steps of cleanup, in their order. One that fails does not keep the next from
// being done, and each may be done again after a crash: what tells how the node was
// before goes after it was used, and the lock goes last.
func steps(cfg config.Agent, memory *node.Memory) []func() error {
	return []func() error{
		func() error { return install.Remove(cfg.CNIBinDir, cfg.CNIConfDir) },
		func() error { return with(route.Open, (*route.Table).Clean) },
		func() error { return with(openOverlay(cfg), (*overlay.Device).Remove) },
		func() error { return with(filter.Open, (*filter.Table).Clean) },
		func() error { return host.Restore(cfg.SysctlDir, sysctlFile(cfg)) },
		func() error { return os.RemoveAll(storeDir(cfg)) },
		memory.Forget,
		func() error { return remove(filepath.Join(cfg.RunDir, rundir.AgentSocket)) },
		func() error { return node.Disown(cfg.RunDir) },
	}
}

func openOverlay(cfg config.Agent) func() (*overlay.Device, error) {
	return func() (*overlay.Device, error) { return overlay.Open(cfg.SysctlDir) }
}

// with opens what is ours in the kernel for one act. A kernel that cannot have it
// has none of it.
func with[T io.Closer](open func() (T, error), act func(T) error) error {
	t, err := open()
	if errors.Is(err, filter.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(act(t), t.Close())
}

// retire closes the address store for good, unless a pod uses Fairlead: one whose
// link is there, or one that is being started, which has an address already. From
// then on the plugin starts none.
func retire(dir string) error {
	asOf, err := store.Now()
	if err != nil {
		return err
	}
	live, err := podLinks()
	if err != nil {
		return err
	}
	if n := len(live); n > 0 {
		return fmt.Errorf("%w: %d links (%s, ...)", errInUse, n, live[0])
	}
	s, err := store.Open(dir)
	if errors.Is(err, store.ErrNotReady) {
		return nil
	}
	if err != nil {
		return err
	}
	before, err := s.Read()
	if errors.Is(err, store.ErrCorrupt) {
		return nil // it gives out nothing either
	}
	if err != nil {
		return err
	}
	namespaces := store.Look(before.NamespacePaths())
	err = s.Update(func(st *store.State) error {
		st.ReleaseLeaks(live, asOf, store.LeakGrace)
		st.ReleaseGone(namespaces, asOf)
		st.ReleaseOverlay(nil, asOf) // the device goes with the next step
		st.ForgetForeign()           // another network's, which goes on with them
		if n := len(st.Allocations); n > 0 {
			return fmt.Errorf("%w: %d addresses are those of attachments that other plugins wired, or were given out in the last %s (%s, ...)", errInUse, n, store.LeakGrace, st.Allocations[0].Address)
		}
		st.SetLeases(nil)
		return nil
	})
	if errors.Is(err, store.ErrCorrupt) {
		return nil
	}
	return err
}

// errInUse keeps cleanup from cutting pods off.
var errInUse = errors.New("pods use Fairlead on this node: drain it first")

func podLinks() ([]string, error) {
	pods, err := link.Dial()
	if err != nil {
		return nil, err
	}
	defer pods.Close()
	return pods.Pods()
}

func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
