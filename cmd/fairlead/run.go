package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fairlead.dev/config"
)

// errNotWell is how status and explain say, besides their tables, that something needs a look.
var errNotWell = errors.New("something is not well")

// Exit codes, as of diff(1): found out and well, found out and not, not found out.
const (
	exitWell    = 0
	exitNotWell = 1
	exitError   = 2
)

func exitCode(err error, stderr io.Writer) int {
	switch {
	case err == nil:
		return exitWell
	case errors.Is(err, errNotWell):
		return exitNotWell
	default:
		fmt.Fprintln(stderr, "fairlead:", err)
		return exitError
	}
}

// options are the flags, node those of the commands whose rows are of nodes.
type options struct {
	kubeconfig string
	context    string
	socket     string
	output     string
	node       string
	timeout    time.Duration
}

// run is the program: args are those of the process, its name included.
func run(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	root := newRoot(programName(args[0]))
	root.SetArgs(args[1:])
	root.SetIn(stdin)
	root.SetOut(stdout)
	return root.ExecuteContext(ctx)
}

// programName is how the user called us: kubectl starts kubectl-fairlead.
func programName(arg0 string) string {
	if strings.HasPrefix(filepath.Base(arg0), "kubectl-") {
		return "kubectl fairlead"
	}
	return "fairlead"
}

func newRoot(name string) *cobra.Command {
	o := &options{}
	root := &cobra.Command{
		Use:           strings.ReplaceAll(name, " ", "-"),
		Short:         "Show what Fairlead does in a cluster, or on one node",
		Version:       config.Version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: name},
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if o.output != "table" && o.output != "json" {
				return fmt.Errorf("--output %q: must be table or json", o.output)
			}
			return nil
		},
	}
	f := root.PersistentFlags()
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "path of the kubeconfig; default: as kubectl does")
	f.StringVar(&o.context, "context", "", "context of the kubeconfig")
	f.StringVar(&o.socket, "socket", "", "path of an agent's socket: ask that agent instead of the API server")
	f.StringVarP(&o.output, "output", "o", "table", "table or json")
	f.DurationVar(&o.timeout, "timeout", 15*time.Second, "how long to wait for an answer")
	root.AddCommand(newStatus(o), newNodes(o), newPeers(o), newBlocks(o), newRoutes(o), newExplain(o))
	return root
}

// addNodeFlag is for the commands whose rows each belong to a node.
func addNodeFlag(cmd *cobra.Command, o *options) *cobra.Command {
	cmd.Flags().StringVar(&o.node, "node", "", "show this node only")
	return cmd
}

// load reads the facts from where the flags say.
func (o *options) load(ctx context.Context) (facts, error) {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	if o.socket != "" {
		return loadAgent(ctx, o.socket)
	}
	return loadAPI(ctx, o.kubeconfig, o.context)
}

// print writes value as JSON or, made by asTable, as tables.
func (o *options) print(w io.Writer, value any, asTable func() []table) error {
	if o.output == "json" {
		return writeJSON(w, value)
	}
	for i, t := range asTable() {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := t.write(w); err != nil {
			return err
		}
	}
	return nil
}
