// Package demo tells, in one run of the lab, what Fairlead does, with the real
// output of the routers', the kernel's and Kubernetes' own tools. What it says is
// also checked: a demo that ends with PASS is a test that passed.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/topology"
)

// chapterBound ends a chapter that hangs; each of its waits has a shorter bound.
const chapterBound = 2 * time.Minute

// Options of a demo.
type Options struct {
	// Instance names the lab.
	Instance string
	// Keep leaves the lab up.
	Keep bool
	// Bin is the folder of Fairlead's programs, see lab.Options.
	Bin string
	// Command is how a person calls the lab's command, for the hints of Keep.
	Command string
	// Out receives the story.
	Out io.Writer
	Log *slog.Logger
	// OnPhase is told of the lab's phases, see lab.Options. Default: nobody.
	OnPhase func(phase string, took time.Duration)
}

// demo is one run.
type demo struct {
	opts  Options
	out   io.Writer
	lab   *lab.Lab
	pods  []lab.Pod
	start time.Time
	count int
}

// chapter is one part of the story.
type chapter struct {
	title string
	tell  func(*demo, context.Context) error
}

func chapters() []chapter {
	return []chapter{
		{"The data centre comes up", (*demo).up},
		{"Nodes and the blocks leased to them", (*demo).leases},
		{"BGP sessions, as the routers see them", (*demo).sessions},
		{"The ToRs' routing tables", (*demo).ribs},
		{"Kernel routes of a node, programmed by its agent (protocol 170)", (*demo).kernel},
		{"Pods talk to each other", (*demo).matrix},
		{"One packet's way, hop by hop", (*demo).path},
		{"A pod ends, its address is released", (*demo).podEnds},
		{"A node joins while all this runs", (*demo).nodeJoins},
		{"The other rack by VXLAN, and back", (*demo).overlay},
	}
}

// Run tells the story. Its last line is PASS or FAIL with the reason, and its
// error is nil exactly if it passed and everything was cleaned up.
func Run(ctx context.Context, opts Options) error {
	d := &demo{opts: opts, out: opts.Out, start: time.Now()}
	err := d.run(ctx)
	if err != nil && d.lab != nil {
		d.lab.Diagnose(context.WithoutCancel(ctx), d.out)
	}
	if d.lab != nil && !opts.Keep {
		err = errors.Join(err, d.lab.Down(context.WithoutCancel(ctx)))
	}
	if d.lab != nil && opts.Keep {
		d.hints()
	}
	if err != nil {
		fmt.Fprintf(d.out, "\nFAIL after %s: %v\n", seconds(time.Since(d.start)), err)
		return err
	}
	fmt.Fprintf(d.out, "\nPASS: %d checks in %s\n", d.count, seconds(time.Since(d.start)))
	return nil
}

func (d *demo) run(ctx context.Context) error {
	for i, c := range chapters() {
		fmt.Fprintf(d.out, "\n== %d. %s\n", i+1, c.title)
		if err := d.tell(ctx, c); err != nil {
			return fmt.Errorf("%s: %w", strings.ToLower(c.title[:1])+c.title[1:], err)
		}
	}
	return nil
}

func (d *demo) tell(ctx context.Context, c chapter) error {
	ctx, cancel := context.WithTimeoutCause(ctx, chapterBound, fmt.Errorf("not within %v", chapterBound))
	defer cancel()
	return c.tell(d, ctx)
}

func (d *demo) up(ctx context.Context) error {
	topo := topology.Default()
	fmt.Fprintf(d.out, "Lab %s: %s.\nPhases overlap; each line is the end of one.\n", d.opts.Instance, describe(topo))
	l, err := lab.Up(ctx, lab.Options{
		Instance: d.opts.Instance, Topology: &topo, Bin: d.opts.Bin, Detach: d.opts.Keep, Log: d.opts.Log, Diagnosis: d.out,
		OnPhase: func(phase string, took time.Duration) {
			fmt.Fprintf(d.out, "  %6s  %-17s took %s\n", seconds(time.Since(d.start)), phase, seconds(took))
			if d.opts.OnPhase != nil {
				d.opts.OnPhase(phase, took)
			}
		},
	})
	if err != nil {
		return err
	}
	d.lab = l
	d.ok("every router and every node's kernel has every block")
	return nil
}

func describe(t topology.Topology) string {
	daemons := map[topology.Daemon]int{}
	for _, r := range t.Routers() {
		daemons[r.Daemon]++
	}
	return fmt.Sprintf("%d racks, %d nodes, %d routers (%d FRR, %d BIRD), a namespace each; real etcd and kube-apiserver",
		len(t.Racks), len(t.Nodes()), len(t.Routers()), daemons[topology.FRR], daemons[topology.BIRD])
}

// ok says and counts a check that passed.
func (d *demo) ok(format string, args ...any) {
	d.count++
	fmt.Fprintf(d.out, "ok: "+format+"\n", args...)
}

// show prints a command as a person would type it, and its real output.
func (d *demo) show(where, command, output string) {
	if where != "" {
		where = "[" + where + "] "
	}
	fmt.Fprintf(d.out, "%s$ %s\n", where, command)
	for _, line := range strings.Split(strings.TrimSpace(output), "\n") {
		if line = strings.TrimRight(line, " \t\r"); line != "" {
			fmt.Fprintln(d.out, "  "+line)
		}
	}
}

func (d *demo) kubectl(ctx context.Context, args ...string) error {
	out, err := d.lab.Kubectl(ctx, args...)
	if err != nil {
		return err
	}
	d.show("", "kubectl "+strings.Join(args, " "), out)
	return nil
}

// on runs a command in a role's namespace and shows it.
func (d *demo) on(ctx context.Context, role string, argv ...string) error {
	out, err := d.lab.Exec(ctx, role, argv...)
	if err != nil {
		return err
	}
	d.show(role, strings.Join(argv, " "), out)
	return nil
}

func (d *demo) hints() {
	fmt.Fprintf(d.out, "\nThe lab stays up. To look around (-i %s names it):\n", d.opts.Instance)
	for _, hint := range []string{
		"list", "kubectl get ippools,ipblocks,bgppeers,nodestates", "fairlead status",
		`vtysh r1-tor1 -c "show bgp summary"`, "birdc r1-tor2 show protocols",
		"exec n1 -- ip route", "exec pod-a1 -- ping -c 3 " + d.target(), "pod add n1 mine", "node add r2 n6", "down",
	} {
		fmt.Fprintf(d.out, "  %s -i %s %s\n", d.opts.Command, d.opts.Instance, hint)
	}
}

func (d *demo) target() string {
	if len(d.pods) > 0 {
		return d.pods[len(d.pods)-1].Address(topology.V4).String()
	}
	return d.lab.Node("n4").Address(topology.V4).String()
}

func seconds(t time.Duration) string { return fmt.Sprintf("%.1f s", t.Seconds()) }

// hostPrefix is an address as a route to it alone.
func hostPrefix(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }
