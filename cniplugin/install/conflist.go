package install

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
)

// ConfName is the configuration's file. Of several configurations a runtime takes
// the first by name: 10 is where network providers begin, behind those that
// delegate to another (00-multus.conf) and before a distribution's examples
// (87-podman-bridge.conflist, 99-loopback.conf).
const ConfName = "10-fairlead.conflist"

// Ways to make host ports. Each needs the program of its name, nft or iptables,
// on the node, but only for pods that have host ports. The plugin is always told
// one: it would else look for iptables at each call, and could take another way at
// DEL than it took at ADD.
const (
	NFTables = "nftables"
	IPTables = "iptables"
)

// Conf is what the network configuration tells the plugins.
type Conf struct {
	// RunDir is the agent's run directory, an absolute path.
	RunDir string
	// MTU of pods' links; 0 means that of the node's uplinks.
	MTU uint32
	// HostPorts is NFTables or IPTables; "" chains no plugin for host ports.
	HostPorts string
	// Bandwidth chains the plugin that limits pods' traffic.
	Bandwidth bool
}

type capabilities map[string]bool

// Conflist renders the network configuration list.
func (c Conf) Conflist() ([]byte, error) { return c.render(nil) }

// render appends the plugins of others to our own.
func (c Conf) render(others []json.RawMessage) ([]byte, error) {
	type ours struct {
		Type         string       `json:"type"`
		Capabilities capabilities `json:"capabilities"`
		RunDir       string       `json:"runDir"`
		MTU          uint32       `json:"mtu,omitempty"`
	}
	type portmap struct {
		Type         string       `json:"type"`
		Capabilities capabilities `json:"capabilities"`
		Backend      string       `json:"backend"`
		// SNAT lets a pod reach itself by the node's port, and the node by 127.0.0.1.
		SNAT bool `json:"snat"`
	}
	type bandwidth struct {
		Type         string       `json:"type"`
		Capabilities capabilities `json:"capabilities"`
	}
	plugins := []any{ours{BinaryName, capabilities{"ips": true, "mac": true}, c.RunDir, c.MTU}}
	if c.HostPorts != "" {
		plugins = append(plugins, portmap{PortmapName, capabilities{"portMappings": true}, c.HostPorts, true})
	}
	if c.Bandwidth {
		plugins = append(plugins, bandwidth{BandwidthName, capabilities{"bandwidth": true}})
	}
	for _, other := range others {
		plugins = append(plugins, other)
	}
	// Runtimes before 1.1.0 of the specification know only cniVersion.
	data, err := json.MarshalIndent(struct {
		CNIVersion  string   `json:"cniVersion"`
		CNIVersions []string `json:"cniVersions"`
		Name        string   `json:"name"`
		Plugins     []any    `json:"plugins"`
	}{"1.0.0", []string{"0.4.0", "1.0.0", "1.1.0"}, "fairlead", plugins}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("render network configuration: %w", err)
	}
	return append(data, '\n'), nil
}

// others are the plugins that somebody else, such as a service mesh, has added to
// our configuration.
func others(list []byte) []json.RawMessage {
	var has struct {
		Plugins []json.RawMessage `json:"plugins"`
	}
	if json.Unmarshal(list, &has) != nil {
		return nil
	}
	return slices.DeleteFunc(has.Plugins, func(plugin json.RawMessage) bool {
		var p struct {
			Type string `json:"type"`
		}
		if json.Unmarshal(plugin, &p) != nil {
			return true
		}
		return slices.ContainsFunc(programs(), func(our program) bool { return our.name == p.Type })
	})
}

// equal says whether two texts are the same JSON.
func equal(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}
