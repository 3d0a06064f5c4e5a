package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containernetworking/cni/libcni"
	"github.com/google/go-cmp/cmp"

	"fairlead.dev/cniplugin/install"
	"fairlead.dev/config"
)

// What the settings say is what the plugins are told.
func TestKeeper(t *testing.T) {
	for name, tt := range map[string]struct {
		set  func(*config.Agent)
		want []string // of each plugin its type, and a fragment
	}{
		"default":   {func(*config.Agent) {}, []string{"fairlead /run/other", `fairlead-portmap "backend":"nftables"`, "fairlead-bandwidth "}},
		"iptables":  {func(c *config.Agent) { c.CNIHostPorts = "iptables" }, []string{"fairlead ", `fairlead-portmap "backend":"iptables"`, "fairlead-bandwidth "}},
		"MTU":       {func(c *config.Agent) { c.CNIMTU = 1400 }, []string{`fairlead "mtu":1400`, "fairlead-portmap ", "fairlead-bandwidth "}},
		"no ports":  {func(c *config.Agent) { c.CNIHostPorts = "none" }, []string{"fairlead ", "fairlead-bandwidth "}},
		"no limits": {func(c *config.Agent) { c.CNIBandwidth = false }, []string{"fairlead ", "fairlead-portmap "}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config.DefaultAgent()
			cfg.RunDir, cfg.CNIConfDir = "/run/other", t.TempDir()
			tt.set(&cfg)
			if found, err := keeper(cfg, discard()).Keep(true); err != nil || !found.Installed {
				t.Fatalf("%+v, %v", found, err)
			}
			list, err := libcni.NetworkConfFromFile(filepath.Join(cfg.CNIConfDir, install.ConfName))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for i, p := range list.Plugins {
				line := p.Network.Type + " "
				if i < len(tt.want) {
					if _, fragment, _ := strings.Cut(tt.want[i], " "); strings.Contains(string(p.Bytes), fragment) {
						line += fragment
					}
				}
				got = append(got, line)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("plugins (-want +got):\n%s", diff)
			}
		})
	}
}

// The init container writes programs only, and says which it cannot find.
func TestInstallCNIWritesNoConfiguration(t *testing.T) {
	cfg := config.DefaultAgent()
	cfg.CNIBinDir, cfg.CNIConfDir = filepath.Join(t.TempDir(), "bin"), t.TempDir()
	// No plugin lies beside a test's program.
	if err := installCNI(t.Context(), cfg, discard()); err == nil || !strings.Contains(err.Error(), install.BandwidthName) {
		t.Errorf("error does not name the program: %v", err)
	}
	if files, err := os.ReadDir(cfg.CNIConfDir); err != nil || len(files) > 0 {
		t.Errorf("configuration folder: %v, %v", files, err)
	}
}
