package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"fairlead.dev/cniplugin/install"
	"fairlead.dev/hack/lab/topology"
)

// plugin is one plugin's configuration.
type plugin map[string]any

// conflist is a network configuration list.
type conflist struct {
	Version string   `json:"cniVersion"`
	Name    string   `json:"name"`
	Plugins []plugin `json:"plugins"`
}

// installed is the one that the agent wrote: ours, portmap, bandwidth.
func (s *scene) installed(t *testing.T) conflist {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(s.Node(node).CNIConfDir(), install.ConfName))
	if err != nil {
		t.Fatal(err)
	}
	var list conflist
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Plugins) != 3 {
		t.Fatalf("%d plugins are installed, want ours, portmap and bandwidth: %s", len(list.Plugins), data)
	}
	return list
}

// chain is a network of CNI 1.1.0 whose first plugin is ours as the node has it
// installed, and that the upstream cnitool works with.
type chain struct {
	scene *scene
	name  string
	env   []string
	args  string // capability arguments, JSON
}

// attachment is a namespace that cnitool attaches to a chain.
type attachment struct {
	name  string
	addrs []netip.Addr
}

func (a attachment) path() string { return "/run/netns/" + a.name }

func (a attachment) address(f topology.Family) netip.Addr {
	for _, addr := range a.addrs {
		if topology.FamilyOf(addr) == f {
			return addr
		}
	}
	return netip.Addr{}
}

// chain makes a network of ours and the plugins given.
func (s *scene) chain(t *testing.T, name string, after ...plugin) *chain {
	t.Helper()
	n := s.Node(node)
	ours := s.installed(t).Plugins[:1:1]
	list, err := json.Marshal(conflist{Version: "1.1.0", Name: name, Plugins: append(ours, after...)})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name+".conflist"), list, 0o600); err != nil {
		t.Fatal(err)
	}
	return &chain{scene: s, name: name, env: []string{
		"NETCONFPATH=" + dir, "CNI_PATH=" + n.CNIBinDir() + ":" + s.tools.plugins, "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=default",
	}}
}

// wants sets the capability arguments of calls to come.
func (c *chain) wants(args map[string]any) {
	c.args = ""
	if data, err := json.Marshal(args); err == nil && args != nil {
		c.args = string(data)
	}
}

func (c *chain) call(ctx context.Context, verb, netns string) (string, error) {
	line := c.scene.machine.command(c.scene.tools.cnitool(), verb, c.name, netns)
	return execute(ctx, append(c.env, "CAP_ARGS="+c.args), "", line...)
}

// add makes a namespace and attaches it; both are gone at the end of the test.
func (c *chain) add(t *testing.T, name string) attachment {
	t.Helper()
	a := attachment{name: name}
	m := c.scene.machine
	m.run(t, "ip", "netns", "add", name)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		_, detached := c.call(ctx, "del", a.path())
		_, deleted := execute(ctx, nil, "", m.command("ip", "netns", "del", name)...)
		if err := errors.Join(detached, deleted); err != nil {
			t.Error(err)
		}
	})
	m.run(t, "ip", "-n", name, "link", "set", "lo", "up")
	c.attach(t, &a)
	return a
}

// attach attaches a namespace that is there.
func (c *chain) attach(t *testing.T, a *attachment) {
	t.Helper()
	out, err := c.call(t.Context(), "add", a.path())
	if err != nil {
		t.Fatal(err)
	}
	var result struct {
		IPs []struct{ Address netip.Prefix }
	}
	if err := json.Unmarshal([]byte(out), &result); err != nil {
		t.Fatalf("result of ADD: %v: %s", err, out)
	}
	a.addrs = nil
	for _, ip := range result.IPs {
		a.addrs = append(a.addrs, ip.Address.Addr())
	}
	if len(a.addrs) != len(families()) {
		t.Fatalf("ADD of %s gave %v, want an address of each family", a.name, a.addrs)
	}
}

func (c *chain) do(t *testing.T, verb string, a attachment) {
	t.Helper()
	if _, err := c.call(t.Context(), verb, a.path()); err != nil {
		t.Error(err)
	}
}

func (c *chain) check(t *testing.T, a attachment) { t.Helper(); c.do(t, "check", a) }
func (c *chain) del(t *testing.T, a attachment)   { t.Helper(); c.do(t, "del", a) }

// gc says that the runtime knows of no attachment.
func (c *chain) gc(t *testing.T, a attachment) { t.Helper(); c.do(t, "gc", a) }

// serve runs a server in the namespace until the end of the test.
func (s *scene) serve(t *testing.T, a attachment) {
	t.Helper()
	m := s.machine
	line := m.inside(a.path(), s.tools.actor(), "serve-while-read", port)
	// Its end is that of its input, so that it cannot outlive us.
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), line[0], line[1:]...)
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(input.Close(), cmd.Wait()); err != nil {
			t.Errorf("server of %s: %v %s", a.name, err, said.String())
		}
	})
	s.serves(t, m.from(a.name, a.path()))
}
