package leases

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"fairlead.dev/dataplane/nstest"
	"fairlead.dev/hack/bench/measure"
	"fairlead.dev/hack/bench/rig"
	"fairlead.dev/hack/lab"
)

// Where nodes join, and who is far from there.
const (
	rack    = "r1"
	farNode = "n4"
)

// farToRs run FRR and BIRD.
func farToRs() [2]string { return [...]string{"r2-tor1", "r2-tor2"} }

// joinBound is how long a join may take.
const joinBound = 60 * time.Second

// joiner lets nodes join a lab and watches kernels far from them.
type joiner struct {
	lab  *lab.Lab
	tors []*rig.Watcher
	node *rig.Watcher
}

func newJoiner(l *lab.Lab) (*joiner, error) {
	j := &joiner{lab: l}
	for _, tor := range farToRs() {
		w, err := rig.Watch(nstest.NS{Name: l.NSName(tor)})
		if err != nil {
			j.close()
			return nil, err
		}
		j.tors = append(j.tors, w)
	}
	var err error
	if j.node, err = rig.Watch(nstest.NS{Name: l.NSName(farNode)}); err != nil {
		j.close()
		return nil, err
	}
	return j, nil
}

func (j *joiner) close() {
	for _, w := range j.tors {
		w.Close()
	}
	if j.node != nil {
		j.node.Close()
	}
}

// run lets nodes join one after another. Each leaves only when the next one is
// there: a node that comes by the address of one just gone would meet what the
// ToRs still hold for that one.
func (j *joiner) run(ctx context.Context, r *rig.Rig) (toToR, toNode measure.Sample, err error) {
	r.Note("%d joins of a node", r.Size.Joins)
	before := ""
	for i := range r.Size.Joins {
		name := fmt.Sprint("join", i+1)
		tor, node, err := j.join(ctx, name)
		if err != nil {
			return toToR, toNode, fmt.Errorf("join of %s: %w", name, err)
		}
		toToR.Add(tor)
		toNode.Add(node)
		if before != "" {
			if err := j.lab.RemoveNode(ctx, before); err != nil {
				return toToR, toNode, err
			}
		}
		before = name
	}
	return toToR, toNode, nil
}

// join measures one: from when its Node is there and its agent started, until
// the far kernels have the routes to its blocks of all pools.
func (j *joiner) join(ctx context.Context, name string) (toToR, toNode time.Duration, err error) {
	if _, err := j.lab.AddNode(ctx, rack, name); err != nil {
		return 0, 0, err
	}
	start := time.Now()
	blocks, err := j.blocks(ctx, name)
	if err != nil {
		return 0, 0, err
	}
	for _, w := range j.tors {
		at, err := w.Added(ctx, joinBound, blocks...)
		if err != nil {
			return 0, 0, fmt.Errorf("far ToR: %w", err)
		}
		toToR = max(toToR, at.Sub(start))
	}
	at, err := j.node.Added(ctx, joinBound, blocks...)
	if err != nil {
		return 0, 0, fmt.Errorf("far node: %w", err)
	}
	return toToR, at.Sub(start), nil
}

// blocks waits for the node's blocks. The watchers have the times: asking late
// for what to look for costs nothing.
func (j *joiner) blocks(ctx context.Context, node string) (blocks []netip.Prefix, err error) {
	pools := j.lab.Topology().Pools
	err = rig.Wait(ctx, joinBound, 50*time.Millisecond, "blocks of "+node, func() error {
		leased, err := j.lab.Blocks(ctx)
		if err != nil {
			return err
		}
		blocks = nil
		for _, pool := range pools {
			if block, ok := leased[lab.Holder{Node: node, Pool: pool.Name}]; ok {
				blocks = append(blocks, block)
			}
		}
		if len(blocks) < len(pools) {
			return fmt.Errorf("%d of %d", len(blocks), len(pools))
		}
		return nil
	})
	return blocks, err
}
