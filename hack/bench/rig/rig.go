// Package rig is what the areas of the benchmark share: scratch space, programs,
// network namespaces, daemons, and a watcher of kernel routes.
//
// Invariants: nothing touches the caller's own network namespace; all that a run
// makes ends with its process, or is removed by the next run.
package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"fairlead.dev/dataplane/nstest"
	"fairlead.dev/hack/lab"
)

// Size says how much is measured.
type Size struct {
	// Pods is the number of ADDs and DELs of a kind, DualPods that of dual stack,
	// where the reference waits a second or two in each.
	Pods, DualPods int
	// Joins of a node.
	Joins int
	// NodePods start at once on a real node, NodeTurns times; SinglePods one at a time.
	NodePods, NodeTurns, SinglePods int
	// Announcements of one prefix, and Restarts of a speaker.
	Announcements, Restarts int
	// Repeats of what is measured as a whole, such as 10,000 routes.
	Repeats int
	// Shrink divides the number of routes that rows speak of. It is 1 but in
	// tests, which look at how things are measured and at no figure.
	Shrink int
}

// Full is the size of a run whose figures count.
func Full() Size {
	return Size{
		Pods: 200, DualPods: 24, Joins: 50, NodePods: 100, NodeTurns: 2, SinglePods: 8,
		Announcements: 50, Restarts: 10, Repeats: 5, Shrink: 1,
	}
}

// Rig is one run's equipment. Areas use it one after another.
type Rig struct {
	// Dir is scratch space on tmpfs, gone after the run.
	Dir  string
	Size Size
	// Cold asks for the first start of a fresh machine too, of many minutes.
	Cold bool
	// Log receives what is going on, for a person who waits.
	Log io.Writer

	bin string // "" until built
}

// tmpfs is where every Linux system has one.
const tmpfs = "/dev/shm"

// scratch names the run's process, so that the next run knows whether it lives.
const scratch = "fairlead-bench-%d-"

// New makes the scratch space. The programs are taken from bin, or built from
// the tree around the working directory by the first area that needs them if
// bin is empty. Close frees all of it.
func New(bin string, size Size, log io.Writer) (*Rig, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("the benchmark needs root: it makes network namespaces")
	}
	if err := sweep(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(tmpfs, fmt.Sprintf(scratch, os.Getpid()))
	if err != nil {
		return nil, fmt.Errorf("make scratch space: %w", err)
	}
	// FRR's daemons, which drop root, have their sockets inside.
	if err := os.Chmod(dir, 0o755); err != nil { // nothing in it is secret
		return nil, errors.Join(fmt.Errorf("make scratch space: %w", err), os.RemoveAll(dir))
	}
	return &Rig{Dir: dir, Size: size, Log: log, bin: bin}, nil
}

// Close removes the scratch space.
func (r *Rig) Close() error {
	if err := os.RemoveAll(r.Dir); err != nil {
		return fmt.Errorf("remove scratch space: %w", err)
	}
	return nil
}

// sweep removes the scratch space of runs that were killed.
func sweep() error {
	dirs, err := filepath.Glob(filepath.Join(tmpfs, strings.Split(scratch, "%")[0]+"*"))
	if err != nil {
		return fmt.Errorf("list scratch space: %w", err)
	}
	for _, dir := range dirs {
		var pid int
		if _, err := fmt.Sscanf(filepath.Base(dir), scratch, &pid); err != nil {
			continue // not of our making
		}
		if _, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid))); err == nil {
			continue
		}
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove scratch space of a killed run: %w", err)
		}
	}
	return nil
}

// Bin is the folder of Fairlead's programs.
func (r *Rig) Bin(ctx context.Context) (string, error) {
	if r.bin == "" {
		r.Note("building Fairlead's programs")
		dir := filepath.Join(r.Dir, "bin")
		if err := BuildInto(ctx, dir); err != nil {
			return "", err
		}
		r.bin = dir
	}
	return r.bin, nil
}

// BuildInto builds Fairlead's programs, and those that are installed beside them,
// into a folder as make build does, again if need be, with more environment.
func BuildInto(ctx context.Context, dir string, env ...string) error {
	err := build(ctx, env, dir+"/",
		"fairlead.dev/cmd/fairlead", "fairlead.dev/cmd/fairlead-agent", "fairlead.dev/cmd/fairlead-cni", "fairlead.dev/cmd/fairlead-controller")
	if err != nil {
		return err
	}
	tree, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("find Fairlead's tree: %w", err)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(strings.TrimSpace(string(tree)), "hack", "plugins", "build.sh"), dir)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the chained plugins: %w\n%s", err, out)
	}
	return nil
}

// Build builds one program as Fairlead's are built.
func Build(ctx context.Context, file, program string) error { return build(ctx, nil, file, program) }

func build(ctx context.Context, env []string, out string, programs ...string) error {
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", out}
	cmd := exec.CommandContext(ctx, "go", append(args, programs...)...)
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0"), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", strings.Join(programs, ", "), err, out)
	}
	return nil
}

// Note says what is going on.
func (r *Rig) Note(format string, args ...any) {
	fmt.Fprintf(r.Log, "%s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

// LabOptions are those of a lab of our own.
func (r *Rig) LabOptions(ctx context.Context) (lab.Options, error) {
	bin, err := r.Bin(ctx)
	return lab.Options{Bin: bin, Diagnosis: r.Log}, err
}

// Namespace makes a network namespace with lo up and IP forwarding, as a node's
// or router's. It is gone with a call of release.
func Namespace(ctx context.Context, role string) (ns nstest.NS, release func(), err error) {
	ns, release, err = nstest.Make("bench-" + role)
	if err != nil {
		return ns, nil, err
	}
	for _, argv := range [][]string{
		{"ip", "link", "set", "lo", "up"},
		{"sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"},
	} {
		if _, err := Run(ctx, ns, argv...); err != nil {
			release()
			return ns, nil, err
		}
	}
	return ns, release, nil
}
