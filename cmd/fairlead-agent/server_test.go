package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fairlead.dev/config"
)

func serverConfig(t *testing.T) config.Agent {
	t.Helper()
	cfg := config.DefaultAgent()
	cfg.RunDir, cfg.HealthAddress, cfg.MetricsAddress = t.TempDir(), "127.0.0.1:0", "127.0.0.1:0"
	return cfg
}

func TestListen(t *testing.T) {
	cfg := serverConfig(t)
	s, err := listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	socket := filepath.Join(cfg.RunDir, "agent.sock")
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v", info, err)
	}
	cfg.HealthAddress, cfg.MetricsAddress = "", ""
	none, err := listen(cfg) // over the socket that is there
	if err != nil || none.health != nil || none.metrics != nil {
		t.Errorf("%+v, %v", none, err)
	}
	none.close()
}

// A taken port is said with its setting, and leaves no listener behind.
func TestListenRefused(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for key, set := range map[string]func(*config.Agent){
		"healthAddress":  func(c *config.Agent) { c.HealthAddress = taken.Addr().String() },
		"metricsAddress": func(c *config.Agent) { c.MetricsAddress = taken.Addr().String() },
	} {
		cfg := serverConfig(t)
		set(&cfg)
		_, err := listen(cfg)
		if err == nil || !strings.Contains(err.Error(), "setting "+key) || !strings.Contains(err.Error(), "in use") {
			t.Errorf("%s: %v", key, err)
		}
		if _, err := net.Dial("unix", filepath.Join(cfg.RunDir, "agent.sock")); err == nil {
			t.Errorf("%s: the socket is listened on still", key)
		}
	}
}

func TestServeRefusesBeforeItChangesAnything(t *testing.T) {
	u := newUsed(t)
	before := u.look(t)
	u.cfg.Kubeconfig = filepath.Join(u.root, "none")
	u.cfg.HealthAddress = "192.0.2.1:9471" // nobody's here
	var err error
	u.ns.Do(t, func() { err = serve(context.Background(), u.cfg, discard()) })
	if err == nil || !strings.Contains(err.Error(), "healthAddress") {
		t.Errorf("error: %v", err)
	}
	if u.look(t) != before {
		t.Error("the kernel was changed")
	}
}
