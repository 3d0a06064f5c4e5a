package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"fairlead.dev/cniplugin/rundir"
	"fairlead.dev/config"
	"fairlead.dev/controller/view"
)

func newRoutes(o *options) *cobra.Command {
	return addNodeFlag(&cobra.Command{
		Use:   "routes",
		Short: "Show a node's routes on their way from BGP to the kernel (needs --socket)",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.socket == "" {
				return errors.New(routesHint(o.context, o.node))
			}
			f, err := o.load(cmd.Context())
			if err != nil {
				return err
			}
			if name := f.nodes[0].name; o.node != "" && o.node != name {
				return fmt.Errorf("the agent at %s is that of node %s, not %s", o.socket, name, o.node)
			}
			return o.print(cmd.OutOrStdout(), f.routes, func() []table { return []table{routeTable(f.routes)} })
		},
	}, o)
}

// routesHint is the command line that shows the routes of a node: a node's
// routes are many and its own, so they are not in the API.
func routesHint(kubeContext, node string) string {
	kubectl := "kubectl -n " + config.DefaultNamespace
	if kubeContext != "" {
		kubectl = "kubectl --context " + kubeContext + " -n " + config.DefaultNamespace
	}
	if node == "" {
		node = "NODE"
	}
	return fmt.Sprintf(`a node's routes are known to its agent only; ask it there (--socket), for example by

  %[1]s exec -c agent $(%[1]s get pods -l app.kubernetes.io/component=agent --field-selector spec.nodeName=%[2]s -o name) -- \
    fairlead routes --socket %[3]s/%[4]s`, kubectl, node, config.DefaultAgent().RunDir, rundir.AgentSocket)
}

func routeTable(routes []view.Route) table {
	t := table{
		header: []string{"PREFIX", "ORIGIN", "PATH", "NEXT HOPS", "SOURCE", "FROM", "INSTALLED", "ADVERTISED", "NOTE"},
		empty:  "No routes.",
	}
	for _, r := range routes {
		note := r.Problem
		if r.Stale {
			note = joinNotes("kept while its peer restarts", r.Problem)
		}
		t.rows = append(t.rows, []string{
			r.Prefix.String(), r.Origin, r.Path, addresses(r.NextHops), source(r), joinNotes(r.Node, addresses(r.From)),
			yesNo(r.Installed), yesNo(r.Advertised), note,
		})
	}
	return t
}

// source is empty where the kernel chooses.
func source(r view.Route) string {
	if !r.Source.IsValid() {
		return ""
	}
	return r.Source.String()
}

func addresses(as []netip.Addr) string {
	texts := make([]string, len(as))
	for i, a := range as {
		texts[i] = a.String()
	}
	return strings.Join(texts, ",")
}
