// Package leases measures, in the lab, how soon a node that joins is reached from
// afar, and what Fairlead's programs weigh beside routers that hold the same
// routes.
package leases

import (
	"context"
	"errors"
	"fmt"

	"fairlead.dev/hack/bench/measure"
	"fairlead.dev/hack/bench/rig"
	"fairlead.dev/hack/lab"
)

// Area is the name of this area.
const Area = "leases"

// Rows are the names of all rows, in order.
func Rows() []string {
	return []string{
		"agent-rss", "agent-rss-vs-frr", "controller-rss",
		"join-to-far-tor", "join-to-far-tor-p99", "join-to-far-node", "join-to-far-node-p99",
	}
}

// Run measures.
func Run(ctx context.Context, r *rig.Rig, emit func(measure.Row)) (err error) {
	opts, err := r.LabOptions(ctx)
	if err != nil {
		return err
	}
	r.Note("bringing a lab up")
	l, err := lab.Up(ctx, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Down(context.WithoutCancel(ctx))) }()
	if err := memory(l, emit); err != nil {
		return err
	}
	j, err := newJoiner(l)
	if err != nil {
		return err
	}
	defer j.close()
	toToR, toNode, err := j.run(ctx, r)
	if err != nil {
		return err
	}
	for _, v := range []struct {
		name   string
		sample measure.Sample
	}{{"join-to-far-tor", toToR}, {"join-to-far-node", toNode}} {
		emit(measure.Row{Area: Area, Name: v.name, Value: v.sample.Median(), Unit: measure.Milliseconds})
		emit(measure.Row{Area: Area, Name: v.name + "-p99", Value: v.sample.P99(), Unit: measure.Milliseconds})
	}
	return nil
}

// memory compares an agent with the ToRs that it has its routes from.
func memory(l *lab.Lab, emit func(measure.Row)) error {
	agent, err := rss(l, "n1-agent")
	if err != nil {
		return err
	}
	bird, err := rss(l, "r1-tor2-bird")
	if err != nil {
		return err
	}
	frr, err := rss(l, "r1-tor1-bgpd", "r1-tor1-zebra")
	if err != nil {
		return err
	}
	controller, err := rss(l, "controller")
	if err != nil {
		return err
	}
	row := measure.Row{Area: Area, Unit: measure.Mebibytes}
	for _, v := range []struct {
		name, peer       string
		value, peerValue float64
	}{{"agent-rss", "bird", agent, bird}, {"agent-rss-vs-frr", "bgpd+zebra", agent, frr}} {
		row.Name, row.Value = v.name, v.value
		emit(row.Against(v.peer, v.peerValue))
	}
	emit(measure.Row{Area: Area, Name: "controller-rss", Value: controller, Unit: measure.Mebibytes})
	return nil
}

// rss is the memory of processes of the lab together.
func rss(l *lab.Lab, names ...string) (float64, error) {
	var pids []int
	for _, name := range names {
		p, err := l.Process(name)
		if err != nil {
			return 0, err
		}
		if !p.Running() {
			return 0, fmt.Errorf("memory of %s: it does not run", name)
		}
		pids = append(pids, p.Pid)
	}
	return rig.RSS(pids...)
}
