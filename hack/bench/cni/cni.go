// Package cni measures what a pod waits for: ADD and DEL of fairlead-cni beside
// those of the reference plugins ptp and host-local, and beside the kernel calls
// alone, executed as a container runtime executes them, from the node's network
// namespace.
package cni

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"fairlead.dev/hack/bench/measure"
	"fairlead.dev/hack/bench/rig"
)

// Area is the name of this area.
const Area = "cni"

// What we are measured against.
const (
	peer       = "ptp+host-local"
	floorName  = "floor"
	livingName = "living"
)

// ourProgram is the plugin's file where it is built.
const ourProgram = "fairlead-cni"

// sizeRow is the size of the program.
const sizeRow = "binary-size"

// atOnce is how many pods a busy kubelet starts at a time.
const atOnce = 8

// kind is one way to measure; its name ends the names of its rows.
type kind struct {
	name    string
	workers int
	dual    bool
	// chained puts portmap and bandwidth behind the plugin.
	chained bool
	// floors are measured too.
	floors bool
}

func kinds() []kind {
	return []kind{
		{name: "sequential", workers: 1, floors: true},
		{name: "parallel-8", workers: atOnce, floors: true},
		{name: "sequential-dual", workers: 1, dual: true},
		{name: "parallel-8-dual", workers: atOnce, dual: true},
		{name: "chain", workers: 1, chained: true},
	}
}

// pods is how many of a side are measured.
func (k kind) pods(size rig.Size) int {
	if k.dual {
		return size.DualPods
	}
	return size.Pods
}

// rows are the names of the rows of one verb, which are emitted in this order.
// The few pods of dual stack have no 99th percentile.
func (k kind) rows(verb string) []string {
	name := verb + "-" + k.name
	names := []string{name}
	if !k.dual {
		names = append(names, name+"-p99")
	}
	if k.floors {
		names = append(names, name+"-"+floorName, name+"-"+livingName)
	}
	return names
}

// Rows are the names of all rows, in order.
func Rows() []string {
	var names []string
	for _, k := range kinds() {
		names = append(names, k.rows("add")...)
		names = append(names, k.rows("del")...)
	}
	return append(names, sizeRow)
}

// Run measures.
func Run(ctx context.Context, r *rig.Rig, emit func(measure.Row)) error {
	bin, err := r.Bin(ctx)
	if err != nil {
		return err
	}
	floorProgram := filepath.Join(r.Dir, floorName)
	if err := rig.Build(ctx, floorProgram, "fairlead.dev/hack/bench/cni/floor"); err != nil {
		return err
	}
	for _, k := range kinds() {
		r.Note("%s: %d pods each of %s, %s and others", k.name, k.pods(r.Size), ourProgram, peer)
		if err := k.run(ctx, r, bin, floorProgram, emit); err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
	}
	return emitSize(bin, emit)
}

// run measures one kind with a fresh node for each side.
func (k kind) run(ctx context.Context, r *rig.Rig, bin, floorProgram string, emit func(measure.Row)) error {
	dir, err := os.MkdirTemp(r.Dir, "cni-")
	if err != nil {
		return fmt.Errorf("make scratch space: %w", err)
	}
	defer os.RemoveAll(dir)
	ours, err := fairlead(bin, filepath.Join(dir, "ours"), k)
	if err != nil {
		return err
	}
	theirs, err := reference(bin, filepath.Join(dir, "peer"), k)
	if err != nil {
		return err
	}
	networks := []network{ours, theirs}
	if k.floors {
		networks = append(networks, floor{floorProgram}, living{})
	}
	var nodes []*node
	for _, network := range networks {
		n, err := newNode(ctx, network)
		if err != nil {
			return err
		}
		defer n.release()
		nodes = append(nodes, n)
	}
	added, deleted, err := race{workers: k.workers, pods: k.pods(r.Size)}.run(ctx, nodes)
	if err != nil {
		return err
	}
	k.emit("add", added, emit)
	k.emit("del", deleted, emit)
	return nil
}

// emit makes rows of what was measured of us, the peer, and the floors.
func (k kind) emit(verb string, samples []measure.Sample, emit func(measure.Row)) {
	name := verb + "-" + k.name
	with := peer
	if k.chained {
		with += "+chain"
	}
	pair := measure.Pair{Ours: samples[0], Peer: samples[1]}
	emit(pair.Median(Area, name, measure.Milliseconds, with))
	if !k.dual {
		emit(pair.P99(Area, name, measure.Milliseconds, with))
	}
	if k.floors {
		for i, other := range []string{floorName, livingName} {
			pair := measure.Pair{Ours: samples[0], Peer: samples[2+i]}
			emit(pair.Median(Area, name+"-"+other, measure.Milliseconds, other))
		}
	}
}

// emitSize compares the sizes of the programs that an ADD executes.
func emitSize(bin string, emit func(measure.Row)) error {
	ours, err := size(filepath.Join(bin, ourProgram))
	ptp, ptpErr := size(filepath.Join(referenceDir, "ptp"))
	ipam, ipamErr := size(filepath.Join(referenceDir, "host-local"))
	if err := errors.Join(err, ptpErr, ipamErr); err != nil {
		return err
	}
	emit(measure.Row{Area: Area, Name: sizeRow, Value: ours, Unit: measure.Mebibytes}.Against(peer, ptp+ipam))
	return nil
}

func size(path string) (float64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, fmt.Errorf("measure the size of a program: %w", err)
	}
	return float64(info.Size()) / (1 << 20), nil
}
