package cni

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"fairlead.dev/cniplugin/install"
	"fairlead.dev/cniplugin/rundir"
	"fairlead.dev/cniplugin/store"
	"fairlead.dev/dataplane/nstest"
	"fairlead.dev/hack/bench/rig"
)

// referenceDir is where Debian has the reference plugins.
const referenceDir = "/usr/lib/cni"

// Blocks of a node, large enough for all pods of a run.
const (
	block4 = "10.99.0.0/20"
	block6 = "fd99::/116"
)

// node is a machine with one network.
type node struct {
	ns      nstest.NS
	release func()
	network network
}

// newNode makes a node with an uplink that its default routes lead to.
func newNode(ctx context.Context, network network) (*node, error) {
	ns, release, err := rig.Namespace(ctx, "node")
	if err != nil {
		return nil, err
	}
	n := &node{ns, release, network}
	for _, argv := range [][]string{
		{"ip", "link", "add", "uplink", "type", "veth", "peer", "name", "tor"},
		{"ip", "address", "add", "192.0.2.1/24", "dev", "uplink"},
		{"ip", "address", "add", "2001:db8::1/64", "dev", "uplink", "nodad"},
		{"ip", "link", "set", "tor", "up"},
		{"ip", "link", "set", "uplink", "up"},
		{"ip", "route", "add", "default", "via", "192.0.2.254"},
		{"ip", "route", "add", "default", "via", "2001:db8::fe"},
	} {
		if _, err := rig.Run(ctx, ns, argv...); err != nil {
			release()
			return nil, err
		}
	}
	return n, nil
}

// fairlead is our plugin of the folder bin over a store as an agent would make
// it, alone or with the chain that the agent configures.
func fairlead(bin, runDir string, k kind) (network, error) {
	blocks := []string{block4}
	if k.dual {
		blocks = append(blocks, block6)
	}
	var leases []store.Lease
	for _, b := range blocks {
		leases = append(leases, store.Lease{CIDR: netip.MustParsePrefix(b), UID: b, Pool: "bench"})
	}
	now, err := store.Now()
	if err != nil {
		return nil, err
	}
	s, _, err := store.Create(filepath.Join(runDir, rundir.Store), nil, now)
	if err != nil {
		return nil, err
	}
	if err := s.Update(func(state *store.State) error { state.SetLeases(leases); return nil }); err != nil {
		return nil, err
	}
	conf := install.Conf{RunDir: runDir}
	if k.chained {
		conf.HostPorts, conf.Bandwidth = install.NFTables, true
	}
	conflist, err := conf.Conflist()
	if err != nil {
		return nil, err
	}
	return newChain(conflist, bin, func(kind string) string {
		if kind == install.BinaryName {
			kind = ourProgram
		}
		return filepath.Join(bin, kind)
	})
}

// reference is ptp with host-local, its addresses on tmpfs as ours, alone or with
// the same chain as ours.
func reference(bin, dataDir string, k kind) (network, error) {
	ranges := []any{[]any{map[string]any{"subnet": block4}}}
	routes := []any{map[string]any{"dst": "0.0.0.0/0"}}
	if k.dual {
		ranges = append(ranges, []any{map[string]any{"subnet": block6}})
		routes = append(routes, map[string]any{"dst": "::/0"})
	}
	plugins := []any{map[string]any{
		"type": "ptp",
		"ipam": map[string]any{"type": "host-local", "dataDir": dataDir, "ranges": ranges, "routes": routes},
	}}
	if k.chained {
		plugins = append(
			plugins,
			map[string]any{
				"type": install.PortmapName, "capabilities": map[string]any{"portMappings": true},
				"backend": install.NFTables, "snat": true,
			},
			map[string]any{"type": install.BandwidthName, "capabilities": map[string]any{"bandwidth": true}},
		)
	}
	conflist, err := json.Marshal(map[string]any{"cniVersion": "1.0.0", "name": "reference", "plugins": plugins})
	if err != nil {
		return nil, fmt.Errorf("configure ptp: %w", err)
	}
	for _, program := range []string{"ptp", "host-local"} {
		if _, err := os.Stat(filepath.Join(referenceDir, program)); err != nil {
			return nil, fmt.Errorf("reference plugins (Debian: containernetworking-plugins): %w", err)
		}
	}
	return newChain(conflist, referenceDir, func(kind string) string {
		if kind == install.PortmapName || kind == install.BandwidthName {
			return filepath.Join(bin, kind) // those that the other side has
		}
		return filepath.Join(referenceDir, kind)
	})
}
