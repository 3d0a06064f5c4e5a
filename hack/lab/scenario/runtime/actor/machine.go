package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Files of a machine's folder.
const (
	pidFile   = "pid"   // of its first process, as the host numbers it
	readyFile = "ready" // there once the machine is furnished
)

// machine starts a first process in mount and pid namespaces of its own, which
// end, with everything in them, when this process does, however it ends.
func machine(ctx context.Context, folder string, keep []string) error {
	runtime.LockOSThread() // Pdeathsig is about the thread that forked
	cmd := exec.CommandContext(ctx, "/proc/self/exe", append([]string{"init", folder}, keep...)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the first process: %w", err)
	}
	err := os.WriteFile(filepath.Join(folder, pidFile), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600)
	if err != nil {
		return errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	if err := cmd.Wait(); ctx.Err() == nil {
		return fmt.Errorf("the first process ended: %w", err)
	}
	return nil
}

// first is the first process: it furnishes the machine and waits for orphans.
func first(ctx context.Context, folder string, keep []string) error {
	children := make(chan os.Signal, 1)
	signal.Notify(children, unix.SIGCHLD)
	if err := furnish(keep); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, readyFile), nil, 0o600); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-children:
		}
		for {
			if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
	}
}

// furnish makes the places that belong to one machine, and would otherwise be
// shared with the host and other machines, the machine's own. All that is
// mounted here ends with the mount namespace.
func furnish(keep []string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	// First: what is kept is found again by way of /proc/self/fd.
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	return errors.Join(
		cover("/run", "tmpfs", keep...),
		cover("/var/lib", "tmpfs"),
		// Devices of this network namespace, and no others.
		cover("/sys", "sysfs", "/sys/fs/cgroup"),
		cover("/dev", "tmpfs", "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"),
	)
}

// cover mounts a file system over target; the folders and files of keep stay
// what they were.
func cover(target, fstype string, keep ...string) error {
	kept := map[string]*os.File{}
	for _, path := range keep {
		f, err := os.OpenFile(path, unix.O_PATH, 0)
		if err != nil {
			return fmt.Errorf("cover %s: %w", target, err)
		}
		defer f.Close()
		kept[path] = f
	}
	if err := unix.Mount(fstype, target, fstype, 0, ""); err != nil {
		return fmt.Errorf("mount %s on %s: %w", fstype, target, err)
	}
	for path, f := range kept {
		if err := keepAt(path, f); err != nil {
			return fmt.Errorf("keep %s: %w", path, err)
		}
	}
	return nil
}

func keepAt(path string, f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	switch {
	case info.IsDir():
		err = os.MkdirAll(path, 0o755)
	default:
		err = errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, 0o644))
	}
	if err != nil {
		return err
	}
	return unix.Mount("/proc/self/fd/"+strconv.Itoa(int(f.Fd())), path, "", unix.MS_BIND|unix.MS_REC, "")
}
