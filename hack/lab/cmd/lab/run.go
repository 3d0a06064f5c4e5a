package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/demo"
)

// KeepEnv set to 1 leaves a demo's lab up.
const KeepEnv = "KEEP"

// program is what all commands share.
type program struct {
	out, errs io.Writer
	instance  string
	bin       string
	verbose   bool
}

func run(ctx context.Context, args []string, out, errs io.Writer) error {
	p := &program{out: out, errs: errs}
	root := &cobra.Command{
		Use: "lab", Short: "A data centre in network namespaces, with Fairlead in it",
		SilenceUsage: true, SilenceErrors: true, TraverseChildren: true,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.PersistentFlags().StringVarP(&p.instance, "instance", "i", "demo", "name of the lab")
	root.PersistentFlags().StringVar(&p.bin, "bin", "", "folder of Fairlead's programs (default $"+lab.BinEnv+", or bin)")
	root.PersistentFlags().BoolVarP(&p.verbose, "verbose", "v", false, "log what the lab does")
	root.AddCommand(p.demo(), p.cluster(), p.up(), p.down(), p.list(), p.exec(), p.enter(), p.kubectl(), p.helm(), p.fairlead(), p.vtysh(), p.birdc(), p.pod(), p.node())
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errs)
	return root.ExecuteContext(ctx)
}

func (p *program) log() *slog.Logger {
	if !p.verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(p.errs, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (p *program) open() (*lab.Lab, error) { return lab.Open(p.instance, p.log()) }

func (p *program) demo() *cobra.Command {
	var keep bool
	c := &cobra.Command{
		Use: "demo", Short: "Tell in one run what Fairlead does; ends with PASS or FAIL", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return demo.Run(c.Context(), demo.Options{
				Instance: p.instance, Keep: keep, Bin: p.bin, Command: os.Args[0], Out: p.out, Log: p.log(),
			})
		},
	}
	c.Flags().BoolVar(&keep, "keep", os.Getenv(KeepEnv) == "1", "leave the lab up ($"+KeepEnv+"=1)")
	return c
}

func (p *program) up() *cobra.Command {
	var networkOnly bool
	c := &cobra.Command{
		Use: "up", Short: "Bring a lab up and leave it", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := lab.Up(c.Context(), lab.Options{
				Instance: p.instance, Bin: p.bin, NetworkOnly: networkOnly, Detach: true, Log: p.log(), Diagnosis: p.errs,
			})
			return err
		},
	}
	c.Flags().BoolVar(&networkOnly, "network-only", false, "routers and namespaces, no Kubernetes and no Fairlead")
	return c
}

func (p *program) down() *cobra.Command {
	return &cobra.Command{
		Use: "down", Short: "Remove everything of a lab, whatever its state", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return lab.Remove(context.WithoutCancel(c.Context()), p.instance, p.log())
		},
	}
}

func (p *program) list() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List labs, and what is in this one", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			names, err := lab.Instances()
			if err != nil {
				return err
			}
			fmt.Fprintln(p.out, "labs:", names)
			l, err := p.open()
			if err != nil {
				return err
			}
			return p.describe(l)
		},
	}
}
