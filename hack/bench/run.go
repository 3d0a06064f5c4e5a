package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"fairlead.dev/hack/bench/bgp"
	"fairlead.dev/hack/bench/cni"
	"fairlead.dev/hack/bench/leases"
	"fairlead.dev/hack/bench/measure"
	"fairlead.dev/hack/bench/pods"
	"fairlead.dev/hack/bench/rig"
	"fairlead.dev/hack/bench/routes"
	"fairlead.dev/hack/bench/start"
)

// area is one part of the benchmark. To add one is to add a line to areas.
type area struct {
	name string
	// rows that run emits, each once.
	rows []string
	run  func(ctx context.Context, r *rig.Rig, emit func(measure.Row)) error
}

func areas(cold bool) []area {
	return []area{
		{cni.Area, cni.Rows(), cni.Run},
		{routes.Area, routes.Rows(), routes.Run},
		{bgp.Area, bgp.Rows(), bgp.Run},
		{leases.Area, leases.Rows(), leases.Run},
		{pods.Area, pods.Rows(), pods.Run},
		{start.Area, start.Rows(cold), start.Run},
	}
}

// run is the program: it prints a table and writes the rows as JSON.
func run(ctx context.Context, args []string, out, log io.Writer) error {
	var names []string
	for _, a := range areas(false) {
		names = append(names, a.name)
	}
	size := rig.Full()
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(log)
	name := flags.String("area", "", "measure only this area: "+strings.Join(names, ", "))
	path := flags.String("json", "", "write one JSON object a row to this `file`")
	bin := flags.String("bin", "", "`folder` of Fairlead's programs (default: build them)")
	cold := flags.Bool("cold", false, "start: also the first start on a fresh machine, of many minutes")
	flags.IntVar(&size.Pods, "n", size.Pods, "cni: pods to add and delete of a kind")
	flags.IntVar(&size.Joins, "joins", size.Joins, "leases: joins of a node")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if flags.NArg() > 0 || size.Pods < 1 || size.Joins < 1 {
		return fmt.Errorf("unknown argument %q, or a count below 1", flags.Args())
	}
	chosen, err := choose(areas(*cold), *name)
	if err != nil {
		return err
	}
	return bench{chosen, size, *bin, *cold, log}.run(ctx, out, *path)
}

// choose is all areas, or the one of that name.
func choose(all []area, name string) ([]area, error) {
	if name == "" {
		return all, nil
	}
	var names []string
	for _, a := range all {
		if a.name == name {
			return []area{a}, nil
		}
		names = append(names, a.name)
	}
	return nil, fmt.Errorf("unknown area %q: there are %s", name, strings.Join(names, ", "))
}

// bench is one run.
type bench struct {
	areas []area
	size  rig.Size
	bin   string
	cold  bool
	log   io.Writer
}

// run measures all areas; one that fails keeps none of the others from it, and
// what it had measured is shown.
func (b bench) run(ctx context.Context, out io.Writer, path string) (err error) {
	jsonl := io.Discard
	if path != "" {
		f, createErr := os.Create(path)
		if createErr != nil {
			return fmt.Errorf("write rows: %w", createErr)
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		jsonl = f
	}
	r, err := rig.New(b.bin, b.size, b.log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	r.Cold = b.cold
	var rows []measure.Row
	var errs []error
	for _, a := range b.areas {
		if ctx.Err() != nil {
			break
		}
		measured, err := a.measure(ctx, r)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", a.name, err))
		}
		for _, row := range measured {
			errs = append(errs, row.WriteJSON(jsonl))
		}
		rows = append(rows, measured...)
	}
	errs = append(errs, context.Cause(ctx), measure.WriteTable(out, rows))
	return errors.Join(errs...)
}

// measure runs the area and holds it to the rows that it promises.
func (a area) measure(ctx context.Context, r *rig.Rig) ([]measure.Row, error) {
	var rows []measure.Row
	var names []string
	err := a.run(ctx, r, func(row measure.Row) {
		rows, names = append(rows, row), append(names, row.Name)
	})
	if err == nil && !slices.Equal(names, a.rows) {
		err = fmt.Errorf("measured %v, promised %v", names, a.rows)
	}
	return rows, err
}
