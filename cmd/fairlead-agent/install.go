package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"fairlead.dev/cniplugin/install"
	"fairlead.dev/config"
)

// installCNI puts the plugins in place, which lie beside the agent's own program.
// The configuration that names them is the running agent's to write: see keeper.
func installCNI(_ context.Context, cfg config.Agent, log *slog.Logger) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the plugins: %w", err)
	}
	if err := install.Programs(filepath.Dir(self), cfg.CNIBinDir); err != nil {
		return err
	}
	log.Info("CNI plugins installed", "folder", cfg.CNIBinDir)
	return nil
}

// keeper keeps the configuration while the agent runs.
func keeper(cfg config.Agent, log *slog.Logger) *install.Keeper {
	conf := install.Conf{RunDir: cfg.RunDir, MTU: cfg.CNIMTU, Bandwidth: cfg.CNIBandwidth}
	switch cfg.CNIHostPorts {
	case config.HostPortsNFTables:
		conf.HostPorts = install.NFTables
	case config.HostPortsIPTables:
		conf.HostPorts = install.IPTables
	}
	return install.NewKeeper(cfg.CNIConfDir, conf, log)
}
