package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/kube"
	"fairlead.dev/hack/lab/topology"
)

// ProxyMode is how kube-proxy makes Services.
type ProxyMode string

// The modes that a cluster may have.
const (
	NFTables ProxyMode = "nftables"
	IPTables ProxyMode = "iptables"
)

// Options of a cluster. The zero value is a random instance of the lab's default topology.
type Options struct {
	// Lab is about what the cluster stands on. Its programs and arguments of
	// Fairlead, and what it calls a cluster, have no meaning here.
	Lab lab.Options `json:"-"`
	// Proxy is kube-proxy's mode. Default: NFTables.
	Proxy ProxyMode `json:"proxy"`
	// LateAddresses has kubelets register their Nodes without addresses, as under
	// a cloud's controller, until GiveAddresses.
	LateAddresses bool `json:"lateAddresses"`
	// StartupTaint has Nodes register with the taint that Fairlead takes off, once
	// it can wire pods there.
	StartupTaint bool `json:"startupTaint"`
	// Idle leaves the machines off, until PowerOn.
	Idle bool `json:"idle"`
	// Image is an archive of Fairlead's image under Repository:Tag. Default:
	// ImageEnv, then what is built from the tree.
	Image string `json:"-"`
	// NoImage leaves Fairlead's image out, for clusters that never get it.
	NoImage bool `json:"-"`
	// Chart is the folder or archive of Fairlead's chart. Default: ChartEnv, then
	// that of the tree.
	Chart string `json:"chart"`
	// ManagerArgs are appended to kube-controller-manager's command line.
	ManagerArgs []string `json:"-"`
}

// Cluster is a Kubernetes of real machines that is up.
type Cluster struct {
	*lab.Lab
	opts Options
	// bin is the folder of kubelet and its like.
	bin string
}

// stateFile in the lab's folder says that the lab is a cluster.
const stateFile = "cluster.json"

type state struct {
	Options Options `json:"options"`
	Bin     string  `json:"bin"`
}

// Up brings a cluster up and returns when its DNS is applied and each machine has
// registered its Node. Without a network for pods, which Install brings, no Node
// is Ready. On error, a cancelled ctx included, nothing of it is left.
func Up(ctx context.Context, opts Options) (*Cluster, error) {
	if opts.Proxy == "" {
		opts.Proxy = NFTables
	}
	if err := requirements(); err != nil {
		return nil, fmt.Errorf("bring a cluster up: %w", err)
	}
	var err error
	if opts.Chart, err = findChart(opts.Chart); err != nil {
		return nil, err
	}
	c := &Cluster{opts: opts}
	if c.bin, err = kube.Programs(ctx, BinEnv, "cluster"); err != nil {
		return nil, err
	}
	if opts.Lab.Bin, err = findPrograms(opts.Lab.Bin); err != nil {
		return nil, err
	}
	topo := topology.Default()
	if opts.Lab.Topology != nil {
		topo = *opts.Lab.Topology
	}
	topo = withFabric(topo)
	opts.Lab.Topology, opts.Lab.NetworkOnly = &topo, true
	opts.Lab.Beside = func(ctx context.Context, l *lab.Lab) error {
		c.Lab = l
		err := c.start(ctx)
		if err != nil && opts.Lab.Diagnosis != nil {
			c.diagnoseKubernetes(context.WithoutCancel(ctx), opts.Lab.Diagnosis)
		}
		return err
	}
	if _, err := lab.Up(ctx, opts.Lab); err != nil {
		return nil, err
	}
	return c, nil
}

// Attach takes over a cluster that another process brought up with Detach.
func Attach(instance string, log *slog.Logger) (*Cluster, error) {
	l, err := lab.Open(instance, log)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(l.Dir(), stateFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("lab %q is no cluster", instance)
	}
	if err != nil {
		return nil, fmt.Errorf("attach to cluster %s: %w", instance, err)
	}
	var s state
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("attach to cluster %s: %w", instance, err)
	}
	return &Cluster{Lab: l, opts: s.Options, bin: s.Bin}, nil
}

func (c *Cluster) start(ctx context.Context) error {
	data, err := json.Marshal(state{Options: c.opts, Bin: c.bin})
	if err != nil {
		return fmt.Errorf("save state of the cluster: %w", err)
	}
	if err := os.WriteFile(filepath.Join(c.Dir(), stateFile), data, 0o600); err != nil {
		return fmt.Errorf("save state of the cluster: %w", err)
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.Phase("images", func() error { return c.prepareImages(gctx) }) })
	g.Go(func() error {
		return c.StartControlPlane(gctx, kube.Options{
			Managers: c.bin, ManagerArgs: c.opts.ManagerArgs, OneFamily: len(c.Topology().Families()) == 1,
		})
	})
	if err := g.Wait(); err != nil {
		return err
	}
	g, gctx = errgroup.WithContext(ctx)
	g.Go(func() error { return c.Phase("dns applied", func() error { return c.applyDNS(gctx) }) })
	if !c.opts.Idle {
		g.Go(func() error { return c.Phase("machines", func() error { return c.startMachines(gctx) }) })
	}
	return g.Wait()
}

func (c *Cluster) startMachines(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	for _, m := range c.Machines() {
		g.Go(func() error { return m.start(gctx) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return c.eventually(ctx, "every machine has registered", func(ctx context.Context) error {
		for _, m := range c.Machines() {
			if _, err := m.Condition(ctx, corev1.NodeReady); err != nil {
				return err
			}
		}
		return nil
	})
}
