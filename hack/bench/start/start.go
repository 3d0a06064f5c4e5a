// Package start measures how long make demo takes, by phase.
package start

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"fairlead.dev/hack/bench/measure"
	"fairlead.dev/hack/bench/rig"
	"fairlead.dev/hack/lab/demo"
)

// Area is the name of this area.
const Area = "start"

// phases of the lab, in the order of their ends in most runs; they overlap.
func phases() []string {
	return []string{"network", "api server", "install", "fairlead started", "routers", "converged"}
}

// Rows are the names of all rows, in order.
func Rows(cold bool) []string {
	var names []string
	if cold {
		names = append(names, "demo-cold-setup", "demo-cold-build", "demo-cold-total")
	}
	names = append(names, "demo-warm-build", "demo-warm-setup")
	for _, phase := range phases() {
		names = append(names, rowName(phase))
	}
	return append(names, "demo-warm-story", "demo-warm-total")
}

func rowName(phase string) string { return "demo-warm-" + strings.ReplaceAll(phase, " ", "-") }

// Run measures.
func Run(ctx context.Context, r *rig.Rig, emit func(measure.Row)) error {
	seconds := func(name string, took time.Duration) {
		emit(measure.Row{Area: Area, Name: name, Value: took.Seconds(), Unit: measure.Seconds})
	}
	var cold time.Duration
	if r.Cold {
		setup, build, err := coldStart(ctx, r)
		if err != nil {
			return err
		}
		seconds("demo-cold-setup", setup)
		seconds("demo-cold-build", build)
		cold = setup + build
	}
	warm, err := warmStart(ctx, r)
	if err != nil {
		return err
	}
	if r.Cold {
		seconds("demo-cold-total", cold+warm.demo)
	}
	seconds("demo-warm-build", warm.build)
	seconds("demo-warm-setup", warm.setup)
	up := time.Duration(0)
	for _, phase := range phases() {
		took, ok := warm.phases[phase]
		if !ok {
			return fmt.Errorf("the demo told of no phase %q, but of %v", phase, warm.phases)
		}
		seconds(rowName(phase), took)
		up = max(up, warm.ends[phase])
	}
	seconds("demo-warm-story", warm.demo-up)
	seconds("demo-warm-total", warm.build+warm.setup+warm.demo)
	return nil
}

// warm is a start with all programs built before.
type warm struct {
	build, setup, demo time.Duration
	// phases are how long each took, ends when it ended, since the demo's start.
	phases, ends map[string]time.Duration
}

func warmStart(ctx context.Context, r *rig.Rig) (warm, error) {
	w := warm{phases: map[string]time.Duration{}, ends: map[string]time.Duration{}}
	bin, err := r.Bin(ctx)
	if err != nil {
		return w, err
	}
	build := func() error { return rig.BuildInto(ctx, filepath.Join(r.Dir, "start")) }
	if err := build(); err != nil {
		return w, err
	}
	if w.build, err = timed(build); err != nil {
		return w, err
	}
	if w.setup, err = timed(func() error { return setup(ctx) }); err != nil {
		return w, err
	}
	r.Note("a warm demo")
	var story bytes.Buffer
	start := time.Now()
	err = demo.Run(ctx, demo.Options{
		Instance: fmt.Sprint("bench", os.Getpid()), Bin: bin, Out: &story, Log: slog.New(slog.DiscardHandler),
		OnPhase: func(phase string, took time.Duration) {
			w.phases[phase], w.ends[phase] = took, time.Since(start)
		},
	})
	w.demo = time.Since(start)
	if err != nil {
		_, copyErr := io.Copy(r.Log, &story)
		return w, errors.Join(err, copyErr)
	}
	return w, nil
}

// coldStart builds everything, with no compiled package to begin with. Modules
// that are downloaded stay: their download measures the network.
func coldStart(ctx context.Context, r *rig.Rig) (setupTook, buildTook time.Duration, err error) {
	dir, err := os.MkdirTemp("", "fairlead-bench-cold-") // gigabytes: not on tmpfs
	if err != nil {
		return 0, 0, fmt.Errorf("make an empty cache: %w", err)
	}
	defer os.RemoveAll(dir)
	env := []string{"FAIRLEAD_CACHE=" + filepath.Join(dir, "fairlead"), "GOCACHE=" + filepath.Join(dir, "go")}
	r.Note("a cold start: ten minutes and more")
	if setupTook, err = timed(func() error { return setup(ctx, env...) }); err != nil {
		return 0, 0, err
	}
	buildTook, err = timed(func() error { return rig.BuildInto(ctx, filepath.Join(dir, "bin"), env...) })
	return setupTook, buildTook, err
}

func timed(f func() error) (time.Duration, error) {
	start := time.Now()
	err := f()
	return time.Since(start), err
}

// setup runs hack/setup.sh, as make demo does first.
func setup(ctx context.Context, env ...string) error {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("find hack/setup.sh: %w", err)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(strings.TrimSpace(string(root)), "hack", "setup.sh"))
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("hack/setup.sh: %w\n%s", err, out)
	}
	return nil
}
