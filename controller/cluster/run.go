package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"fairlead.dev/api/v1alpha1"
)

// Name of the controller: its Lease, and who its Events are from.
const Name = "fairlead-controller"

// How long the first event of a pass waits for others: pods wait for leases, people for
// status.
const (
	leaseInterval  = 20 * time.Millisecond
	statusInterval = time.Second
)

// Leader election: a dead leader is replaced within leaseDuration, and one that
// cannot reach the API server stops before another can start.
const (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
)

// Options of a controller.
type Options struct {
	// Namespace holds the Lease of the election.
	Namespace string
	// NodeGracePeriod is how long a Node may be gone before its blocks are
	// taken back; CoolingPeriod how long those are then nobody's.
	NodeGracePeriod, CoolingPeriod time.Duration
	// LeaderElection makes the controller wait until it is elected.
	LeaderElection bool
	// HealthAddress and MetricsAddress are listened on, "" for neither.
	HealthAddress, MetricsAddress string
	// Registry takes the metrics of this package.
	Registry prometheus.Registerer
}

// Run runs the controller until ctx ends, which is no error. Losing the
// election is one: the caller must exit then.
func Run(ctx context.Context, cfg *rest.Config, opts Options, log *slog.Logger) error {
	mgr, err := newManager(cfg, opts, log)
	if err != nil {
		return err
	}
	m := newMetrics()
	if opts.Registry != nil {
		remove, err := m.register(opts.Registry)
		if err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
		defer remove()
	}
	for _, p := range passes(mgr, opts, m, log) {
		if err := p.register(mgr); err != nil {
			return err
		}
	}
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("run controller: %w", err)
	}
	return nil
}

func newManager(cfg *rest.Config, opts Options, log *slog.Logger) (ctrl.Manager, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha1.AddToScheme(scheme), corev1.AddToScheme(scheme), coordinationv1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("register kinds: %w", err)
	}
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme:         scheme,
		MapperProvider: mapper,
		Logger:         logr.FromSlogHandler(quiet{log.Handler()}),
		Cache: cache.Options{
			DefaultTransform: cache.TransformStripManagedFields(),
			ByObject: map[client.Object]cache.ByObject{
				&corev1.Node{}:          {Transform: slim},
				&corev1.Service{}:       {Namespaces: map[string]cache.Config{apiServiceNamespace: {FieldSelector: fields.OneTermEqualSelector("metadata.name", apiService)}}},
				&coordinationv1.Lease{}: {Namespaces: map[string]cache.Config{opts.Namespace: {}}},
			},
		},
		LeaderElection:                opts.LeaderElection,
		LeaderElectionID:              Name,
		LeaderElectionNamespace:       opts.Namespace,
		LeaderElectionReleaseOnCancel: true, // the process ends right after Run
		LeaseDuration:                 new(leaseDuration),
		RenewDeadline:                 new(renewDeadline),
		RetryPeriod:                   new(retryPeriod),
		HealthProbeBindAddress:        orNone(opts.HealthAddress),
		Metrics:                       metricsserver.Options{BindAddress: orNone(opts.MetricsAddress)},
	})
	if err != nil {
		return nil, fmt.Errorf("set controller up: %w", err)
	}
	err = errors.Join(mgr.AddHealthzCheck("ping", healthz.Ping), mgr.AddReadyzCheck("ping", healthz.Ping))
	if err != nil {
		return nil, fmt.Errorf("set health checks up: %w", err)
	}
	return mgr, nil
}

// orNone is how controller-runtime is told to listen nowhere.
func orNone(address string) string {
	if address == "" {
		return "0"
	}
	return address
}

func passes(mgr ctrl.Manager, opts Options, m *metrics, log *slog.Logger) []*pass {
	c, events := mgr.GetClient(), mgr.GetEventRecorder(Name)
	lease := &leaser{
		client: c, live: mgr.GetAPIReader(), grace: opts.NodeGracePeriod, cooling: opts.CoolingPeriod,
		namespace: opts.Namespace, events: events, metrics: m, log: log, missing: since{}, retired: since{}, learnt: learnt{},
	}
	route := &router{client: c, events: events, log: log}
	status := &reporter{client: c}
	reach := &watchman{client: c, live: mgr.GetAPIReader(), namespace: opts.Namespace, pulses: newPulses(), metrics: m, log: log}
	pools, configs, peers := bySpec(&v1alpha1.IPPool{}), bySpec(&v1alpha1.BGPConfiguration{}), bySpec(&v1alpha1.BGPPeer{})
	blocks, plan, bgpNodes := every(&v1alpha1.IPBlock{}), every(&v1alpha1.AddressPlan{}), every(&v1alpha1.BGPNode{})
	return []*pass{
		{
			name: "lease", interval: leaseInterval, run: lease.run, cached: c, metrics: m,
			watches: []watch{byNode(), pools, blocks, plan, bgpNodes, byNeed()},
		},
		{
			name: "route", interval: leaseInterval, run: route.run, cached: c, metrics: m,
			watches: []watch{byNode(), bgpNodes, configs, peers, byVTEP(), byCandidates()},
		},
		{
			name: "status", interval: statusInterval, run: status.run, cached: c, metrics: m,
			watches: []watch{byNode(), every(&v1alpha1.IPPool{}), every(&v1alpha1.BGPConfiguration{}), every(&v1alpha1.BGPPeer{}), blocks, plan, byReport()},
		},
		{
			name: "reach", interval: statusInterval, run: reach.run, cached: c, metrics: m,
			watches: []watch{byReadiness(), byReach(), reach.pulses.watch()},
		},
	}
}
