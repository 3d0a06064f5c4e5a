// Package cni measures what a pod waits for: ADD and DEL of fairlead-cni beside
// those of the reference plugins ptp and host-local, executed as a container
// runtime executes them, from the node's network namespace.
package cni

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"fairlead.dev/hack/bench/measure"
	"fairlead.dev/hack/bench/rig"
)

// Area is the name of this area.
const Area = "cni"

// peer is what we are measured against.
const peer = "ptp+host-local"

// atOnce is how many pods a busy kubelet starts at a time.
const atOnce = 8

// kind is one way to measure; its name ends the names of its rows.
type kind struct {
	name    string
	workers int
	dual    bool
}

func kinds() []kind {
	return []kind{
		{"sequential", 1, false},
		{"parallel-8", atOnce, false},
		{"sequential-dual", 1, true},
		{"parallel-8-dual", atOnce, true},
	}
}

// Rows are the names of all rows, in order. The few pods of dual stack have no
// 99th percentile.
func Rows() []string {
	var names []string
	for _, k := range kinds() {
		for _, verb := range []string{"add", "del"} {
			names = append(names, verb+"-"+k.name)
			if !k.dual {
				names = append(names, verb+"-"+k.name+"-p99")
			}
		}
	}
	return names
}

// Run measures.
func Run(ctx context.Context, r *rig.Rig, emit func(measure.Row)) error {
	bin, err := r.Bin(ctx)
	if err != nil {
		return err
	}
	for _, k := range kinds() {
		pods := r.Size.Pods
		if k.dual {
			pods = r.Size.DualPods
		}
		r.Note("%s: %d pods each of fairlead-cni and %s", k.name, pods, peer)
		if err := run(ctx, r.Dir, bin, k, pods, emit); err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
	}
	return nil
}

// run measures one kind with a fresh node for each side.
func run(ctx context.Context, scratch, bin string, k kind, pods int, emit func(measure.Row)) error {
	dir, err := os.MkdirTemp(scratch, "cni-")
	if err != nil {
		return fmt.Errorf("make scratch space: %w", err)
	}
	defer os.RemoveAll(dir)
	ours, err := newNode(ctx, "ours")
	if err != nil {
		return err
	}
	defer ours.release()
	reference, err := newNode(ctx, "peer")
	if err != nil {
		return err
	}
	defer reference.release()
	if err := ours.useFairlead(filepath.Join(bin, "fairlead-cni"), filepath.Join(dir, "ours"), k.dual); err != nil {
		return err
	}
	if err := reference.useReference(filepath.Join(dir, "peer"), k.dual); err != nil {
		return err
	}
	added, deleted, err := race{workers: k.workers, pods: pods}.run(ctx, ours, reference)
	if err != nil {
		return err
	}
	for _, v := range []struct {
		verb string
		pair measure.Pair
	}{{"add", added}, {"del", deleted}} {
		name := v.verb + "-" + k.name
		emit(v.pair.Median(Area, name, measure.Milliseconds, peer))
		if !k.dual {
			emit(v.pair.P99(Area, name, measure.Milliseconds, peer))
		}
	}
	return nil
}
