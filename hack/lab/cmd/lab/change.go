package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"fairlead.dev/hack/lab"
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
	c := &cobra.Command{Use: "node", Short: "Add and remove nodes while the lab runs"}
	c.AddCommand(
		p.change("add RACK NAME", "Bring a node into a rack", 2, func(c *cobra.Command, l *lab.Lab, args []string) error {
			if _, err := l.AddNode(c.Context(), args[0], args[1]); err != nil {
				return err
			}
			return l.WaitConverged(c.Context())
		}),
		p.change("del NAME", "Take a node away as if its power went, and delete its Node", 1, func(c *cobra.Command, l *lab.Lab, args []string) error {
			return l.RemoveNode(c.Context(), args[0])
		}),
	)
	return c
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
