package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"fairlead.dev/cniplugin/rundir"
	"fairlead.dev/config"
	"fairlead.dev/controller/node"
)

// servers are the agent's listeners; nil where it listens not.
type servers struct{ socket, health, metrics net.Listener }

func listen(cfg config.Agent) (s servers, err error) {
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.socket, err = node.ListenSocket(filepath.Join(cfg.RunDir, rundir.AgentSocket)); err != nil {
		return s, err
	}
	if s.health, err = listenTCP("healthAddress", cfg.HealthAddress); err != nil {
		return s, err
	}
	s.metrics, err = listenTCP("metricsAddress", cfg.MetricsAddress)
	return s, err
}

func listenTCP(key, address string) (net.Listener, error) {
	if address == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("setting %s: %w", key, err)
	}
	return l, nil
}

func (s servers) serve(ctx context.Context, g *errgroup.Group, agent *node.Agent) {
	for l, handler := range map[net.Listener]http.Handler{
		s.socket: agent.SocketHandler(), s.health: agent.HealthHandler(), s.metrics: metrics(agent),
	} {
		if l != nil {
			g.Go(func() error { return node.Serve(ctx, l, handler) })
		}
	}
}

func metrics(agent *node.Agent) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(agent.Collector(), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}

// close is for those that nobody serves; a second close is harmless.
func (s servers) close() {
	for _, l := range []net.Listener{s.socket, s.health, s.metrics} {
		if l != nil {
			_ = l.Close()
		}
	}
}
