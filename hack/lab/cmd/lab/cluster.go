package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fairlead.dev/hack/lab/cluster"
	"fairlead.dev/hack/lab/topology"
)

func (p *program) cluster() *cobra.Command {
	var opts cluster.Options
	var only int
	var bare bool
	c := &cobra.Command{
		Use: "cluster", Short: "Bring a Kubernetes of real kubelets up, Fairlead installed by Helm, and leave it", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if only != 0 {
				if only != 4 && only != 6 {
					return fmt.Errorf("--only %d: want 4 or 6", only)
				}
				topo := topology.Default().Only(topology.Family(only))
				opts.Lab.Topology = &topo
			}
			return p.bringCluster(c.Context(), opts, bare)
		},
	}
	c.Flags().StringVar((*string)(&opts.Proxy), "proxy", string(cluster.NFTables), "kube-proxy's mode: nftables or iptables")
	c.Flags().IntVar(&only, "only", 0, "one address family, 4 or 6, in place of both")
	c.Flags().BoolVar(&bare, "bare", false, "leave the installation to you: nodes are NotReady until then")
	return c
}

func (p *program) bringCluster(ctx context.Context, opts cluster.Options, bare bool) (err error) {
	start := time.Now()
	opts.Lab.Instance, opts.Lab.Bin, opts.Lab.Detach = p.instance, p.bin, true
	opts.Lab.Log, opts.Lab.Diagnosis = p.log(), p.errs
	opts.Lab.OnPhase = func(phase string, took time.Duration) {
		fmt.Fprintf(p.out, "%6.1f s  %-12s took %.1f s\n", time.Since(start).Seconds(), phase, took.Seconds())
	}
	c, err := cluster.Up(ctx, opts)
	if err != nil {
		return err
	}
	defer func() {
		if err == nil {
			return
		}
		if ctx.Err() == nil {
			c.Diagnose(ctx, p.errs)
		}
		err = errors.Join(err, c.Down(context.WithoutCancel(ctx)))
	}()
	if !bare {
		if err := c.Phase("fairlead", func() error { return c.Install(ctx, nil) }); err != nil {
			return err
		}
		if err := c.Phase("pods talk", func() error { return c.Check(ctx) }); err != nil {
			return err
		}
	}
	return p.introduce(ctx, c)
}

// introduce shows the cluster, and how it is reached.
func (p *program) introduce(ctx context.Context, c *cluster.Cluster) error {
	for _, args := range [][]string{{"get", "nodes", "-o", "wide"}, {"get", "pods", "-A", "-o", "wide"}} {
		out, err := c.Kubectl(ctx, args...)
		if err != nil {
			return err
		}
		fmt.Fprintf(p.out, "\n$ kubectl %s\n%s", strings.Join(args, " "), out)
	}
	fmt.Fprintf(p.out, "\nThe cluster stays up. It is reached in its own network namespace:\n")
	for _, hint := range []string{"kubectl get nodes", "helm list -A", "fairlead status", "exec n1 -- ip route", "node off n2", "node on n2", "node add r2 n5", "enter", "down"} {
		fmt.Fprintf(p.out, "  %s -i %s %s\n", os.Args[0], c.Instance, hint)
	}
	fmt.Fprintf(p.out, "enter is a shell for other tools, with KUBECONFIG=%s\n", c.AdminKubeconfig())
	return nil
}
