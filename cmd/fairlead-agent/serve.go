package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"fairlead.dev/bgp/speaker"
	"fairlead.dev/cniplugin/rundir"
	"fairlead.dev/cniplugin/store"
	"fairlead.dev/config"
	"fairlead.dev/controller/node"
	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/host"
	"fairlead.dev/dataplane/link"
	"fairlead.dev/dataplane/overlay"
	"fairlead.dev/dataplane/route"
)

// statusInterval is the least time between two writes of NodeState.
const statusInterval = time.Second

// serve wires the agent and runs it. It returns when ctx ends, without a word
// to the peers: they keep our routes while the next agent starts.
func serve(ctx context.Context, cfg config.Agent, log *slog.Logger) error {
	release, err := node.Own(cfg.RunDir)
	if err != nil {
		return err
	}
	defer release()
	// What may be refused comes first: an agent that ends again has then changed nothing.
	servers, err := listen(cfg)
	if err != nil {
		return err
	}
	defer servers.close()
	pods, err := link.Dial()
	if err != nil {
		return err
	}
	defer pods.Close()
	addresses, err := node.OpenStore(storeDir(cfg), pods.PodRoutes, log)
	if err != nil {
		return err
	}
	files, err := watchFolders(storeDir(cfg), cfg.CNIConfDir, log)
	if err != nil {
		return err
	}
	table, err := route.Open()
	if err != nil {
		return err
	}
	defer table.Close()
	vxlan, err := overlay.Open(cfg.SysctlDir)
	if err != nil {
		return err
	}
	defer vxlan.Close()
	packets, err := newPacketFilter(log)
	if err != nil {
		return err
	}
	defer packets.close()
	bgp, err := speaker.New(speaker.Options{Logger: log})
	if err != nil {
		return err
	}
	api, err := connect(cfg)
	if err != nil {
		return err
	}
	memory, err := remember(cfg, api.config.Host)
	if err != nil {
		return err
	}

	links := links{pods, cfg.SysctlDir, sysctlFile(cfg)}
	var agent *node.Agent
	source := node.NewAPI(api.config, api.scheme, api.client, cfg.NodeName, cfg.Namespace, memory, func() { agent.Wake() }, log)
	agent = node.New(node.Options{
		Name: cfg.NodeName, APIServer: api.addresses, SyncInterval: cfg.SyncInterval, ResyncInterval: cfg.ResyncInterval,
		EndOfRIBTimeout: cfg.EndOfRIBTimeout, VXLAN: dataplane.VXLAN{VNI: cfg.VXLANVNI, Port: uint16(cfg.VXLANPort)}, Logger: log,
		Attached: func() ([]store.Found, error) { return attached(namespaceDir) },
		InUse:    links.inUse,
	}, node.Ports{
		Intents: source, Speaker: bgp, Routes: table, Store: addresses, Filter: packets,
		Links: links, Runtime: keeper(cfg, log), Overlay: vxlan,
	})
	reporter := node.Reporter{Client: api.client, Node: cfg.NodeName, Namespace: cfg.Namespace, Interval: statusInterval, Logger: log}

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return agent.Run(ctx) })
	g.Go(func() error { return source.Run(ctx) })
	g.Go(func() error {
		reporter.Run(ctx, agent.Status, agent.Changed())
		return nil
	})
	g.Go(func() error { return wakeOn(ctx, "BGP", bgp.Changes(), agent.Wake) })
	g.Go(func() error {
		changes, err := host.Watch(ctx)
		if err != nil {
			return err
		}
		return wakeOn(ctx, "the links", changes, agent.Replugged)
	})
	g.Go(func() error {
		changes, err := table.Watch(ctx)
		if err != nil {
			return err
		}
		return wakeOn(ctx, "the kernel's routes", changes, agent.Wake)
	})
	g.Go(func() error {
		changes, err := vxlan.Watch(ctx)
		if err != nil {
			return err
		}
		return wakeOn(ctx, "the overlay device", changes, agent.Wake)
	})
	packets.watch(ctx, g, agent.Wake)
	g.Go(func() error { return files.run(ctx, agent.Wake) })
	servers.serve(ctx, g, agent)
	return g.Wait()
}

// sysctlFile is on tmpfs: the values in it are the running kernel's.
func sysctlFile(cfg config.Agent) string { return filepath.Join(cfg.RunDir, "sysctl.json") }

func storeDir(cfg config.Agent) string { return filepath.Join(cfg.RunDir, rundir.Store) }

func remember(cfg config.Agent, apiServer string) (*node.Memory, error) {
	boot, err := host.BootID()
	if err != nil {
		return nil, err
	}
	machine, err := host.MachineID()
	if err != nil {
		return nil, err
	}
	id := node.Identity{Node: cfg.NodeName, MachineID: machine, APIServer: apiServer}
	return node.NewMemory(cfg.StateDir, id, boot, cfg.NodeGracePeriod/2), nil
}
