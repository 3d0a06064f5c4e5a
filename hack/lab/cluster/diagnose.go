package cluster

import (
	"context"
	"fmt"
	"io"
	"strings"
)

// Diagnose writes what a person needs in order to see why a cluster is not as it
// should be, on top of what the lab says of itself.
func (c *Cluster) Diagnose(ctx context.Context, w io.Writer) {
	c.Lab.Diagnose(ctx, w)
	c.diagnoseKubernetes(ctx, w)
}

func (c *Cluster) diagnoseKubernetes(ctx context.Context, w io.Writer) {
	for _, m := range c.Machines() {
		for _, name := range services() {
			if p, err := m.Service(name); err == nil {
				fmt.Fprintf(w, "--- end of %s (running: %v)\n%s\n", p.Log, p.Running(), p.Tail())
			}
		}
	}
	if !c.HasCluster() {
		return
	}
	for _, args := range []string{
		"get nodes,pods,services,endpointslices -A -o wide",
		"get events -A --field-selector type=Warning --sort-by .lastTimestamp",
		"-n fairlead-system logs -l app.kubernetes.io/name=fairlead --all-containers --prefix --tail 25",
		"-n kube-system logs -l k8s-app=kube-dns --tail 25",
	} {
		args += " --request-timeout=5s"
		out, err := c.Kubectl(ctx, strings.Fields(args)...)
		fmt.Fprintf(w, "$ kubectl %s\n%s", args, out)
		if err != nil {
			fmt.Fprintln(w, err)
		}
	}
}
