// Package pods measures on real nodes, which run kubelet and containerd, how soon
// pods are Ready and answer a packet from outside of their node: on a node that
// our chart gives its network, and on one that has the reference's bridge plugin.
package pods

import (
	"context"
	"errors"
	"fmt"

	"fairlead.dev/hack/bench/measure"
	"fairlead.dev/hack/bench/rig"
)

// Area is the name of this area.
const Area = "pods"

// peer is what we are measured against.
const peer = "bridge+host-local+portmap"

// kind is one way to start pods; its name is in the names of its rows.
type kind struct {
	name string
	// together says that all of a turn's pods are created at once, not one after
	// another.
	together bool
}

func kinds() []kind { return []kind{{"100", true}, {"1", false}} }

// size is how many pods a batch has, and how many batches a side.
func (k kind) size(size rig.Size) (pods, batches int) {
	if k.together {
		return size.NodePods, size.NodeTurns
	}
	return 1, size.SinglePods
}

// Rows are the names of all rows, in order. The few pods that start one at a time
// have no 99th percentile.
func Rows() []string {
	var names []string
	for _, k := range kinds() {
		for _, what := range []string{"pod-ready", "pod-first-packet"} {
			name := k.row(what)
			names = append(names, name)
			if k.together {
				names = append(names, name+"-p99")
			}
		}
		names = append(names, k.row("pod-cni-add"), k.row("pod-cni-share"))
	}
	return names
}

func (k kind) row(what string) string { return what + "-" + k.name + "-vs-bridge" }

// Run measures.
func Run(ctx context.Context, r *rig.Rig, emit func(measure.Row)) (err error) {
	s, err := newStage(ctx, r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close(context.WithoutCancel(ctx))) }()
	for _, k := range kinds() {
		pods, batches := k.size(r.Size)
		r.Note("%d times %d pods on a node, each of both", batches, pods)
		ours, theirs, err := s.race(ctx, pods, batches)
		if err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
		k.emit(ours, theirs, emit)
	}
	return nil
}

// emit makes rows of what was measured of us and the peer.
func (k kind) emit(ours, theirs result, emit func(measure.Row)) {
	for _, v := range []struct {
		what string
		pair measure.Pair
	}{
		{"pod-ready", measure.Pair{Ours: ours.ready, Peer: theirs.ready}},
		{"pod-first-packet", measure.Pair{Ours: ours.packet, Peer: theirs.packet}},
	} {
		emit(v.pair.Median(Area, k.row(v.what), measure.Milliseconds, peer))
		if k.together {
			emit(v.pair.P99(Area, k.row(v.what), measure.Milliseconds, peer))
		}
	}
	row := measure.Row{Area: Area, Name: k.row("pod-cni-add"), Unit: measure.Milliseconds, Value: ours.adds.mean()}
	emit(row.Against(peer, theirs.adds.mean()))
	row = measure.Row{Area: Area, Name: k.row("pod-cni-share"), Unit: measure.Percent, Value: ours.share()}
	emit(row.Against(peer, theirs.share()))
}

// result is what was measured of one side.
type result struct {
	// ready and packet are of each pod, from just before its creation.
	ready, packet measure.Sample
	// adds is what the container runtime says of its calls of plugins.
	adds calls
}

// share of the calls of plugins in all that it took the pods to be Ready, in percent.
func (r result) share() float64 {
	total := 0.0
	for _, ms := range r.ready {
		total += ms
	}
	return 100 * r.adds.mean() * float64(len(r.ready)) / total
}
