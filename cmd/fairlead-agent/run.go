package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"fairlead.dev/config"
)

const name = "fairlead-agent"

// run does what args ask for: without a verb it serves the node.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	verb := serve
	if len(args) > 0 {
		switch args[0] {
		case "install-cni":
			verb, args = installCNI, args[1:]
		case "cleanup":
			verb, args = cleanup, args[1:]
		}
	}
	cfg := config.DefaultAgent()
	err := config.Load(name, args, os.Environ(), &cfg)
	if errors.Is(err, pflag.ErrHelp) {
		defaults := config.DefaultAgent() // flags before --help have changed cfg
		fmt.Fprint(stdout, verbs, config.Usage(name, &defaults))
		return nil
	}
	if err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: cfg.LogLevel}))
	// The Kubernetes libraries log through these.
	klog.SetSlogLogger(log)
	ctrllog.SetLogger(logr.FromSlogHandler(log.Handler()))
	return verb(ctx, cfg, log)
}

const verbs = `fairlead-agent              serves the node until it is stopped; stopping is not leaving
fairlead-agent install-cni  puts the CNI plugins in place; the running agent writes their configuration
fairlead-agent cleanup      takes what is Fairlead's off the node; no pod of it may run

`
