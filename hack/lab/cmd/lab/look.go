package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/topology"
)

func (p *program) describe(l *lab.Lab) error {
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ROLE\tKIND\tADDRESSES\tNAMESPACE")
	for _, n := range l.Nodes() {
		fmt.Fprintf(w, "%s\tnode\t%s %s\t%s\n", n.Name, n.Address(topology.V4), n.Address(topology.V6), l.NSName(n.Name))
	}
	for _, r := range l.Routers() {
		fmt.Fprintf(w, "%s\t%s\t\t%s\n", r.Name, r.Daemon, l.NSName(r.Name))
	}
	for _, pod := range l.Pods() {
		fmt.Fprintf(w, "%s\tpod on %s\t%s\t%s\n", pod.Role(), pod.Node, strings.Trim(fmt.Sprint(pod.Addresses), "[]"), pod.NetNS)
	}
	for _, process := range l.Processes() {
		state := "ended"
		if process.Running() {
			state = fmt.Sprint("pid ", process.Pid)
		}
		fmt.Fprintf(w, "%s\tprocess, %s\t\t%s\n", process.Name, state, process.Log)
	}
	return w.Flush()
}

// become replaces this process by argv inside a role's namespace, so that
// terminals, signals and exit codes are the command's own.
func become(l *lab.Lab, role string, argv []string) error {
	return replace(l.EnterCommand(role, argv...))
}

func replace(line []string) error {
	path, err := exec.LookPath(line[0])
	if err != nil {
		return err
	}
	return fmt.Errorf("run %s: %w", strings.Join(line, " "), syscall.Exec(path, line, os.Environ()))
}

func (p *program) exec() *cobra.Command {
	return &cobra.Command{
		Use: "exec ROLE -- COMMAND [ARG...]", Short: "Run a command in the namespace of a node, router or pod",
		Args: cobra.MinimumNArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			l, err := p.open()
			if err != nil {
				return err
			}
			if c, err := p.attach(); err == nil && c.Machine(args[0]).Running() {
				line, err := c.Machine(args[0]).Command(args[1:]...)
				if err != nil {
					return err
				}
				return replace(line)
			}
			return become(l, args[0], args[1:])
		},
	}
}

func (p *program) kubectl() *cobra.Command {
	return passThrough("kubectl ARG...", "Run kubectl as the cluster's admin", func(args []string) error {
		l, err := p.openCluster()
		if err != nil {
			return err
		}
		return become(l, topology.RoleControlPlane, l.KubectlCommand(args...))
	})
}

func (p *program) fairlead() *cobra.Command {
	return passThrough("fairlead ARG...", "Run Fairlead's CLI as the cluster's admin", func(args []string) error {
		l, err := p.openCluster()
		if err != nil {
			return err
		}
		return become(l, topology.RoleControlPlane, l.FairleadCommand(args...))
	})
}

func (p *program) openCluster() (*lab.Lab, error) {
	l, err := p.open()
	if err != nil {
		return nil, err
	}
	if !l.HasCluster() {
		return nil, fmt.Errorf("lab %s has no Kubernetes", p.instance)
	}
	return l, nil
}

func (p *program) vtysh() *cobra.Command {
	return passThrough("vtysh ROUTER [ARG...]", "Run FRR's shell on a router", func(args []string) error {
		return p.shell(args, (*lab.Router).VtyshCommand)
	})
}

func (p *program) birdc() *cobra.Command {
	return passThrough("birdc ROUTER [ARG...]", "Run BIRD's shell on a router", func(args []string) error {
		return p.shell(args, (*lab.Router).BirdcCommand)
	})
}

func (p *program) shell(args []string, command func(*lab.Router, ...string) ([]string, error)) error {
	if len(args) == 0 {
		return fmt.Errorf("which router?")
	}
	l, err := p.open()
	if err != nil {
		return err
	}
	argv, err := command(l.Router(args[0]), args[1:]...)
	if err != nil {
		return err
	}
	return become(l, args[0], argv)
}

// passThrough leaves all that stands after the command's name to another program.
// Flags of the lab stand before it.
func passThrough(use, short string, f func(args []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error { return f(args) },
	}
}
