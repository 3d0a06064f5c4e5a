package config

import (
	"log/slog"
	"time"

	"github.com/spf13/pflag"
)

// DefaultNamespace is where Fairlead's own Pods, Secrets and Lease live.
const DefaultNamespace = "fairlead-system"

// Controller are the settings of fairlead-controller.
type Controller struct {
	Kubeconfig      string
	Namespace       string
	NodeGracePeriod time.Duration
	CoolingPeriod   time.Duration
	LeaderElection  bool
	HealthAddress   string
	MetricsAddress  string
	LogLevel        slog.Level
}

// DefaultController are the settings of a controller that is told nothing.
func DefaultController() Controller {
	return Controller{
		Namespace:       DefaultNamespace,
		NodeGracePeriod: 5 * time.Minute,
		CoolingPeriod:   5 * time.Minute,
		LeaderElection:  true,
		HealthAddress:   "127.0.0.1:9473",
		MetricsAddress:  ":9472",
		LogLevel:        slog.LevelInfo,
	}
}

// Bind defines the settings; their present values are the defaults.
func (c *Controller) Bind(fs *pflag.FlagSet) {
	bindCommon(fs, &c.Kubeconfig, &c.Namespace, &c.HealthAddress, &c.MetricsAddress, &c.LogLevel)
	fs.DurationVar(&c.NodeGracePeriod, "node-grace-period", c.NodeGracePeriod,
		"How long a Node may be gone before its blocks are taken back.")
	fs.DurationVar(&c.CoolingPeriod, "cooling-period", c.CoolingPeriod,
		"How long a block that was taken back stays nobody's before it can be leased again.")
	fs.BoolVar(&c.LeaderElection, "leader-election", c.LeaderElection,
		"Take part in the election of one active controller; off only where there is one replica.")
}

// Validate joins everything that is wrong with the settings, each by its key.
func (c *Controller) Validate() error {
	var p problems
	p.common(c.Namespace, c.HealthAddress, c.MetricsAddress)
	p.positive("nodeGracePeriod", c.NodeGracePeriod)
	p.positive("coolingPeriod", c.CoolingPeriod)
	return p.join()
}

// bindCommon defines the settings that both processes have.
func bindCommon(fs *pflag.FlagSet, kubeconfig, namespace, health, metrics *string, level *slog.Level) {
	fs.StringVar(kubeconfig, "kubeconfig", *kubeconfig,
		"Path of a kubeconfig; empty uses the Pod's own ServiceAccount.")
	fs.StringVar(namespace, "namespace", *namespace,
		"Namespace of Fairlead itself: its Lease, and the Secrets that BGPPeers name.")
	fs.StringVar(health, "health-address", *health,
		"Address that serves /healthz and /readyz; empty serves neither.")
	fs.StringVar(metrics, "metrics-address", *metrics,
		"Address that serves Prometheus /metrics; empty serves none.")
	fs.TextVar(level, "log-level", *level,
		"Least level that is logged: debug, info, warn or error.")
}
