package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/cluster"
	"fairlead.dev/hack/lab/topology"
)

// options of a run.
type options struct {
	families []family
	instance string
	focus    string
	procs    int
	timeout  time.Duration
	out      string
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	bin, err := build(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range o.families {
		errs = append(errs, o.try(ctx, f, bin, stdout))
	}
	return errors.Join(errs...)
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("e2e", flag.ContinueOnError)
	name := flags.String("family", "", "ipv4, ipv6 or dual; default: one after another")
	flags.StringVar(&o.instance, "instance", "", "run in this `cluster`, which is up and has Fairlead, and leave it up")
	flags.StringVar(&o.focus, "focus", "", "run the tests whose names match this `expression` instead")
	flags.IntVar(&o.procs, "procs", 4, "tests that run at a time")
	flags.DurationVar(&o.timeout, "timeout", 30*time.Minute, "bound of the tests of one family")
	flags.StringVar(&o.out, "o", "dist/e2e", "`folder` for output and reports")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.families = families()
	if *name != "" {
		o.families = []family{family(*name)}
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unknown argument %q", flags.Arg(0))
	case !slices.Contains(families(), o.families[0]):
		return o, fmt.Errorf("unknown family %q: want one of %v", *name, families())
	case o.instance != "" && *name == "":
		return o, errors.New("-instance needs -family, which the cluster is of")
	}
	return o, nil
}

// build returns the folder of upstream's tests; it runs at the top of the tree.
func build(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, "hack/setup.sh", "e2e")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("build upstream's tests: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// try judges a cluster of that family.
func (o options) try(ctx context.Context, f family, bin string, stdout io.Writer) error {
	out, err := filepath.Abs(filepath.Join(o.out, string(f)))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	diagnosis, err := os.Create(filepath.Join(out, "diagnosis.log"))
	if err != nil {
		return err
	}
	defer diagnosis.Close()
	start := time.Now()
	c, down, err := o.cluster(ctx, f, diagnosis)
	if err != nil {
		return fmt.Errorf("%s: %w", f, err)
	}
	fmt.Fprintf(stdout, "%s: cluster %s is up after %v; the output is in %s\n", f, c.Instance, time.Since(start).Round(time.Second), out)
	start = time.Now()
	results, err := o.suite(f, bin, c).run(ctx, out)
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", f, err), down())
	}
	known := exclusions()
	if o.focus != "" {
		known = nil
	}
	v := judge(f, results, known)
	v.print(stdout, f, time.Since(start))
	if len(v.bad) > 0 {
		c.Diagnose(ctx, diagnosis)
	}
	return errors.Join(v.err(f), down())
}

// suite is what is run in that cluster.
func (o options) suite(f family, bin string, c *cluster.Cluster) suite {
	s := suite{
		bin: bin, kubeconfig: c.AdminKubeconfig(), enter: c.EnterCommand(topology.RoleControlPlane),
		nodes: len(c.Topology().Nodes()), procs: o.procs, timeout: o.timeout, focus: f.focus(),
	}
	for _, e := range exclusions() {
		if e.of(f) {
			s.skip = append(s.skip, e.name)
		}
	}
	if o.focus != "" {
		s.focus, s.skip = []string{o.focus}, nil
	}
	return s
}

// cluster is the one that was named, or a new one with Fairlead installed, and
// what takes it down.
func (o options) cluster(ctx context.Context, f family, diagnosis io.Writer) (*cluster.Cluster, func() error, error) {
	if o.instance != "" {
		c, err := cluster.Attach(o.instance, slog.New(slog.DiscardHandler))
		return c, func() error { return nil }, err
	}
	topo := f.topology()
	c, err := cluster.Up(ctx, cluster.Options{Lab: lab.Options{Topology: &topo, Diagnosis: diagnosis}})
	if err != nil {
		return nil, nil, err
	}
	down := func() error { return c.Down(context.WithoutCancel(ctx)) }
	err = c.Install(ctx, nil)
	if err == nil {
		err = c.WaitRollout(ctx, "kube-system", "deployment/coredns")
	}
	if err != nil {
		c.Diagnose(context.WithoutCancel(ctx), diagnosis)
		return nil, nil, errors.Join(err, down())
	}
	return c, down, nil
}

// topology has nodes that are neighbours in a rack, and nodes that are not. The
// fourth would only make a small machine slower.
func (f family) topology() topology.Topology {
	t := topology.Default().WithoutNode("n4")
	switch f {
	case ipv4:
		return t.Only(topology.V4)
	case ipv6:
		return t.Only(topology.V6)
	}
	return t
}
