package main

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"fairlead.dev/hack/lab/cluster"
	"fairlead.dev/hack/lab/topology"
)

func (p *program) attach() (*cluster.Cluster, error) { return cluster.Attach(p.instance, p.log()) }

func (p *program) helm() *cobra.Command {
	return passThrough("helm ARG...", "Run helm as the cluster's admin", func(args []string) error {
		c, err := p.attach()
		if err != nil {
			return err
		}
		return become(c.Lab, topology.RoleControlPlane, c.HelmCommand(args...))
	})
}

// enter is for tools that know no lab: what is started from it finds the API
// server, and kubectl, helm and fairlead by name.
func (p *program) enter() *cobra.Command {
	return passThrough("enter [COMMAND ARG...]", "A shell, or a command, that reaches the cluster, with KUBECONFIG and PATH set", func(args []string) error {
		l, err := p.openCluster()
		if err != nil {
			return err
		}
		if len(args) == 0 {
			args = []string{"bash"}
		}
		path := filepath.Dir(l.KubectlCommand()[0]) + ":" + filepath.Dir(l.FairleadCommand()[0])
		if c, err := p.attach(); err == nil {
			path += ":" + c.Programs()
		}
		env := []string{"env", "KUBECONFIG=" + l.AdminKubeconfig(), "PATH=" + path + ":" + os.Getenv("PATH")}
		return become(l, topology.RoleControlPlane, append(env, args...))
	})
}
