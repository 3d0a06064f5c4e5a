package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/cluster"
)

func (p *program) pod() *cobra.Command {
	c := &cobra.Command{Use: "pod", Short: "Start and end pods"}
	c.AddCommand(
		p.change("add NODE NAME", "Make a pod's namespace and wire it by CNI ADD", 2, func(c *cobra.Command, l *lab.Lab, args []string) error {
			pod, err := l.AddPod(c.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			fmt.Fprintln(p.out, pod.Role(), pod.Addresses)
			return nil
		}),
		p.change("del NAME", "Unwire a pod by CNI DEL and remove its namespace", 1, func(c *cobra.Command, l *lab.Lab, args []string) error {
			return l.DelPod(c.Context(), args[0])
		}),
	)
	return c
}

func (p *program) node() *cobra.Command {
	c := &cobra.Command{Use: "node", Short: "Add, remove and power nodes while the lab runs"}
	c.AddCommand(
		p.change("add RACK NAME", "Bring a node into a rack", 2, func(c *cobra.Command, l *lab.Lab, args []string) error {
			return p.machines(l).add(c.Context(), args[0], args[1])
		}),
		p.change("del NAME", "Take a node away as if its power went, and delete its Node", 1, func(c *cobra.Command, l *lab.Lab, args []string) error {
			return p.machines(l).RemoveNode(c.Context(), args[0])
		}),
		p.change("off NAME", "Take a node's power", 1, func(c *cobra.Command, l *lab.Lab, args []string) error {
			return p.machines(l).PowerOff(c.Context(), args[0])
		}),
		p.change("on NAME", "Give a node its power back", 1, func(c *cobra.Command, l *lab.Lab, args []string) error {
			return p.machines(l).PowerOn(c.Context(), args[0])
		}),
	)
	return c
}

// machines are a lab's nodes, of either kind.
type machines interface {
	add(ctx context.Context, rack, name string) error
	RemoveNode(ctx context.Context, name string) error
	PowerOff(ctx context.Context, name string) error
	PowerOn(ctx context.Context, name string) error
}

func (p *program) machines(l *lab.Lab) machines {
	if c, err := p.attach(); err == nil {
		return realMachines{c}
	}
	return namespaces{l}
}

type (
	realMachines struct{ *cluster.Cluster }
	namespaces   struct{ *lab.Lab }
)

func (m realMachines) add(ctx context.Context, rack, name string) error {
	_, err := m.AddNode(ctx, rack, name)
	return err
}

func (m namespaces) add(ctx context.Context, rack, name string) error {
	if _, err := m.AddNode(ctx, rack, name); err != nil {
		return err
	}
	return m.WaitConverged(ctx)
}

func (p *program) change(use, short string, args int, f func(*cobra.Command, *lab.Lab, []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(args),
		RunE: func(c *cobra.Command, args []string) error {
			l, err := p.open()
			if err != nil {
				return err
			}
			return f(c, l, args)
		},
	}
}
