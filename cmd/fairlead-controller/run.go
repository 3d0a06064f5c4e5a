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
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"fairlead.dev/config"
	"fairlead.dev/controller/cluster"
)

// run does what args ask for. Without a verb it is the controller, and returns nil
// when ctx ends, or what makes going on impossible. It logs to stderr.
func run(ctx context.Context, args []string, _ io.Reader, stdout io.Writer) error {
	crds := len(args) > 0 && args[0] == "install-crds"
	if crds {
		args = args[1:]
	}
	set := config.DefaultController()
	switch err := config.Load(cluster.Name, args, os.Environ(), &set); {
	case errors.Is(err, pflag.ErrHelp):
		defaults := config.DefaultController()
		_, err := io.WriteString(stdout, verbs+config.Usage(cluster.Name, &defaults))
		return err
	case err != nil:
		return err
	}
	log := newLog(os.Stderr, set.LogLevel)
	cfg, err := connect(set.Kubeconfig)
	if err != nil {
		return err
	}
	if crds {
		return installCRDs(ctx, cfg, log)
	}
	return cluster.Run(ctx, cfg, cluster.Options{
		Namespace:       set.Namespace,
		NodeGracePeriod: set.NodeGracePeriod,
		CoolingPeriod:   set.CoolingPeriod,
		LeaderElection:  set.LeaderElection,
		HealthAddress:   set.HealthAddress,
		MetricsAddress:  set.MetricsAddress,
		Registry:        metrics.Registry,
	}, log)
}

const verbs = `fairlead-controller               leases blocks until it is stopped
fairlead-controller install-crds  brings the CustomResourceDefinitions to those of this version

`

// connect returns the client configuration of a kubeconfig, or, if it is "",
// of the Pod's own ServiceAccount.
func connect(kubeconfig string) (*rest.Config, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig %q: %w", kubeconfig, err)
	}
	// The API server's own priority and fairness limits us, and knows better.
	cfg.QPS = -1
	cfg.UserAgent = cluster.Name
	return cfg, nil
}

// newLog returns a logger of JSON lines and makes the libraries use it too:
// controller-runtime and klog, which client-go logs to, keep theirs in globals.
func newLog(to io.Writer, level slog.Level) *slog.Logger {
	log := slog.New(slog.NewJSONHandler(to, &slog.HandlerOptions{Level: level}))
	bridge := logr.FromSlogHandler(log.Handler())
	ctrllog.SetLogger(bridge)
	klog.SetLogger(bridge)
	return log
}
