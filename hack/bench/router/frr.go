package router

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"fairlead.dev/dataplane/nstest"
	"fairlead.dev/hack/bench/rig"
)

// frrDir is where Debian has FRR's daemons.
const frrDir = "/usr/lib/frr"

// FRR is zebra and bgpd in a namespace.
type FRR struct{ daemons []*rig.Daemon }

// StartFRR starts both with their files in a folder that it makes in dir. bgpd
// must not start before zebra listens: it would try again only after 10 s.
func StartFRR(ctx context.Context, ns nstest.NS, dir, name, bgpd string) (*FRR, error) {
	dir = filepath.Join(dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("configure frr: %w", err)
	}
	if err := os.Chmod(dir, 0o777); err != nil { // FRR's daemons drop root
		return nil, fmt.Errorf("configure frr: %w", err)
	}
	f := &FRR{}
	for _, d := range []struct{ name, config, socket string }{
		{"zebra", "", "zserv.api"},
		{"bgpd", bgpd, "bgpd.vty"},
	} {
		if err := f.start(ctx, ns, dir, d.name, d.config, d.socket); err != nil {
			f.Kill()
			return nil, err
		}
	}
	return f, nil
}

func (f *FRR) start(ctx context.Context, ns nstest.NS, dir, name, config, socket string) error {
	conf, err := configure(dir, name+".conf", config)
	if err != nil {
		return err
	}
	daemon, err := rig.Start(ns, nil, nil, nil, filepath.Join(frrDir, name), "-u", "frr", "-g", "frr", "-P", "0",
		"--vty_socket", dir, "-z", filepath.Join(dir, "zserv.api"), "-i", filepath.Join(dir, name+".pid"), "-f", conf)
	if err != nil {
		return err
	}
	f.daemons = append(f.daemons, daemon)
	return rig.Wait(ctx, bound, 5*time.Millisecond, name+" listens", func() error {
		if err := daemon.Alive(); err != nil {
			return err
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, socket))
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// Kill is kill -9.
func (f *FRR) Kill() {
	for _, d := range f.daemons {
		d.Kill()
	}
}

// Alive is nil while both run.
func (f *FRR) Alive() error {
	var errs []error
	for _, d := range f.daemons {
		errs = append(errs, d.Alive())
	}
	return errors.Join(errs...)
}

// PIDs of its processes.
func (f *FRR) PIDs() []int {
	var pids []int
	for _, d := range f.daemons {
		pids = append(pids, d.PID())
	}
	return pids
}
