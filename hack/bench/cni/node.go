package cni

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"fairlead.dev/cniplugin/install"
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

// node is a machine with one network plugin.
type node struct {
	ns      nstest.NS
	release func()
	// program is the plugin; path is CNI_PATH, where it finds others.
	program, path string
	// conf is the plugin's configuration as a runtime passes it, without prevResult.
	conf map[string]any
}

// newNode makes a node with an uplink that its default routes lead to.
func newNode(ctx context.Context, role string) (*node, error) {
	ns, release, err := rig.Namespace(ctx, role)
	if err != nil {
		return nil, err
	}
	n := &node{ns: ns, release: release}
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

// useFairlead gives the node our plugin and the store that an agent would make.
func (n *node) useFairlead(program, runDir string, dual bool) error {
	blocks := []string{block4}
	if dual {
		blocks = append(blocks, block6)
	}
	var leases []store.Lease
	for _, b := range blocks {
		leases = append(leases, store.Lease{CIDR: netip.MustParsePrefix(b), UID: b, Pool: "bench"})
	}
	now, err := store.Now()
	if err != nil {
		return err
	}
	s, _, err := store.Create(filepath.Join(runDir, store.Name), nil, now)
	if err != nil {
		return err
	}
	if err := s.Update(func(state *store.State) error { state.SetLeases(leases); return nil }); err != nil {
		return err
	}
	conflist, err := install.Conf{RunDir: runDir}.Conflist()
	if err != nil {
		return err
	}
	n.program, n.path = program, filepath.Dir(program)
	return n.configure(conflist)
}

// useReference gives the node ptp and host-local, its addresses on tmpfs as ours.
func (n *node) useReference(dataDir string, dual bool) error {
	ranges := []any{[]any{map[string]any{"subnet": block4}}}
	routes := []any{map[string]any{"dst": "0.0.0.0/0"}}
	if dual {
		ranges = append(ranges, []any{map[string]any{"subnet": block6}})
		routes = append(routes, map[string]any{"dst": "::/0"})
	}
	conflist, err := json.Marshal(map[string]any{
		"cniVersion": "1.0.0", "name": "reference",
		"plugins": []any{map[string]any{
			"type": "ptp",
			"ipam": map[string]any{"type": "host-local", "dataDir": dataDir, "ranges": ranges, "routes": routes},
		}},
	})
	if err != nil {
		return fmt.Errorf("configure ptp: %w", err)
	}
	n.program, n.path = filepath.Join(referenceDir, "ptp"), referenceDir
	if _, err := os.Stat(n.program); err != nil {
		return fmt.Errorf("reference plugins (Debian: containernetworking-plugins): %w", err)
	}
	return n.configure(conflist)
}

// configure takes the first plugin of a configuration list, with the name and
// version of the list, as a runtime does.
func (n *node) configure(conflist []byte) error {
	var list struct {
		CNIVersion string           `json:"cniVersion"`
		Name       string           `json:"name"`
		Plugins    []map[string]any `json:"plugins"`
	}
	if err := json.Unmarshal(conflist, &list); err != nil {
		return fmt.Errorf("read configuration list: %w", err)
	}
	n.conf = list.Plugins[0]
	n.conf["cniVersion"], n.conf["name"] = list.CNIVersion, list.Name
	return nil
}
