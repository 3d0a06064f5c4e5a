package conformance

import (
	"fmt"
	"net/netip"
	"path/filepath"

	"fairlead.dev/cniplugin"
	"fairlead.dev/cniplugin/rundir"
	"fairlead.dev/cniplugin/store"
)

// Plugin is one under test.
type Plugin struct {
	// Name is the head of its column, and About a line that says what it is.
	Name, About string
	// Type is its name in a configuration, and that of its program in Dir, which
	// is also where it finds other plugins.
	Type, Dir string
	// Configure does what must be done on a node before the plugin works, and
	// returns the plugin's part of a configuration. It keeps its state in a
	// folder, and has so many addresses of each family to give.
	Configure func(state string, size Size) (map[string]any, error)
	// Departs are the obligations, by ID, that it does not meet on purpose, and why.
	Departs map[string]string
}

func (p Plugin) program() string { return filepath.Join(p.Dir, p.Type) }

// Size of a node's address blocks.
type Size int

// Sizes. A small node is full after a few containers.
const (
	Small Size = 4
	Large Size = 64
)

// All addresses of all sizes lie in the first nets of their kind, which is what a
// trial needs to know that wants to stand in their way.
var (
	subnet4 = netip.MustParsePrefix("10.77.1.0/24")
	subnet6 = netip.MustParsePrefix("fd77:1::/64")
)

// Fairlead is our plugin, whose program is in a folder under the name it is
// installed by.
func Fairlead(dir string) Plugin {
	return Plugin{
		Name: "fairlead", About: "fairlead-cni of this tree",
		Type: cniplugin.Type, Dir: dir, Configure: configureFairlead,
		Departs: map[string]string{
			"status-exhausted": "a runtime makes a node NotReady whose STATUS fails, and then its pods are evicted; " +
				"a full node keeps them, its ADD says that no address is free, and so do a Condition and an Event",
		},
	}
}

// configureFairlead makes the store that an agent makes, with leases.
func configureFairlead(state string, size Size) (map[string]any, error) {
	now, err := store.Now()
	if err != nil {
		return nil, err
	}
	s, _, err := store.Create(filepath.Join(state, rundir.Store), nil, now)
	if err != nil {
		return nil, err
	}
	bits4, bits6 := 26, 122
	if size == Small {
		bits4, bits6 = 30, 126
	}
	leases := []store.Lease{
		{CIDR: netip.PrefixFrom(subnet4.Addr(), bits4), UID: "block4", Pool: "conformance"},
		{CIDR: netip.PrefixFrom(subnet6.Addr(), bits6), UID: "block6", Pool: "conformance"},
	}
	err = s.Update(func(state *store.State) error { state.SetLeases(leases); return nil })
	return map[string]any{"type": cniplugin.Type, "runDir": state}, err
}

// Reference are the plugins ptp and host-local of containernetworking/plugins,
// which together do what ours does.
func Reference(name, about, dir string) Plugin {
	const delegates = "it delegates to an IPAM plugin, which is found by CNI_PATH (1.1.0 section 4)"
	return Plugin{
		Name: name, About: about, Type: "ptp", Dir: dir, Configure: configureReference,
		Departs: map[string]string{"env-no-path": delegates, "status-no-path": delegates},
	}
}

func configureReference(state string, size Size) (map[string]any, error) {
	ranges := func(subnet netip.Prefix) []any {
		const gateway, first = 1, 4
		return []any{map[string]any{
			"subnet": subnet.String(), "gateway": nth(subnet, gateway).String(),
			"rangeStart": nth(subnet, first).String(), "rangeEnd": nth(subnet, first+int(size)-1).String(),
		}}
	}
	return map[string]any{
		"type": "ptp",
		"ipam": map[string]any{
			"type": "host-local", "dataDir": state,
			"ranges": []any{ranges(subnet4), ranges(subnet6)},
			"routes": []any{map[string]any{"dst": "0.0.0.0/0"}, map[string]any{"dst": "::/0"}},
		},
	}, nil
}

// nth address of a network, which is less than the 256th.
func nth(network netip.Prefix, n int) netip.Addr {
	b := network.Addr().AsSlice()
	b[len(b)-1] += byte(n)
	addr, ok := netip.AddrFromSlice(b)
	if !ok {
		panic(fmt.Sprintf("no address of %d bytes", len(b)))
	}
	return addr
}
