package behaviour

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"fairlead.dev/cniplugin/install"
	"fairlead.dev/cniplugin/rundir"
	"fairlead.dev/cniplugin/store"
	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/topology"
)

// call is one execution of the plugin, without the order that a runtime keeps.
type call struct {
	command, container, netns, link string
}

// plugin calls n1's plugin and returns what it printed and its exit code.
func (s *scene) plugin(t *testing.T, c call) (string, int) {
	t.Helper()
	return s.program(t, install.BinaryName, s.pluginConf(t, s.Node("n1")), c)
}

// program is plugin for any that is installed on n1, with a configuration.
func (s *scene) program(t *testing.T, name string, conf []byte, c call) (string, int) {
	t.Helper()
	n := s.Node("n1")
	line := s.EnterCommand("n1", filepath.Join(n.CNIBinDir(), name))
	cmd := exec.CommandContext(t.Context(), line[0], line[1:]...)
	cmd.Env = append(os.Environ(), "CNI_COMMAND="+c.command, "CNI_CONTAINERID="+c.container, "CNI_NETNS="+c.netns, "CNI_IFNAME="+c.link,
		"CNI_ARGS=IgnoreUnknown=1", "CNI_PATH="+n.CNIBinDir())
	cmd.Stdin = bytes.NewReader(conf)
	out, err := cmd.Output()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return string(out), exit.ExitCode()
	case err != nil:
		t.Fatal(err)
	}
	return string(out), 0
}

// pluginConf is what a runtime makes for a plugin of the node's configuration list.
func (s *scene) pluginConf(t *testing.T, n *lab.Node) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(n.CNIConfDir(), install.ConfName))
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Name    string           `json:"name"`
		Version string           `json:"cniVersion"`
		Plugins []map[string]any `json:"plugins"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	list.Plugins[0]["name"], list.Plugins[0]["cniVersion"] = list.Name, list.Version
	conf, err := json.Marshal(list.Plugins[0])
	if err != nil {
		t.Fatal(err)
	}
	return conf
}

// runtimeAmiss is an ADD on an interface that exists, a DEL of what never was, and
// a DEL whose namespace is gone.
func (s *scene) runtimeAmiss(t *testing.T) {
	netns := "/run/netns/" + s.a.NetNS
	before := s.storeOf(t, "n1")
	for name, c := range map[string]call{
		"by its own container":  {"ADD", s.a.ContainerID, netns, "eth0"},
		"by another container":  {"ADD", "amiss-" + s.Instance, netns, "eth0"},
		"of the pod's loopback": {"ADD", "amiss-" + s.Instance, netns, "lo"},
	} {
		out, code := s.plugin(t, c)
		var failure struct {
			Code         uint
			Msg, Details string
		}
		if err := json.Unmarshal([]byte(out), &failure); err != nil || code == 0 {
			t.Fatalf("ADD %s: exit code %d, %v: %s", name, code, err, out)
		}
		if failure.Code != 100 {
			t.Errorf("ADD %s: %+v, want code 100", name, failure)
		}
		s.says(t, "ADD "+name, failure.Msg, "interface "+c.link)
		s.says(t, "ADD "+name, failure.Details, "DEL")
	}
	for name, c := range map[string]call{
		"of what never was":                   {"DEL", "never-" + s.Instance, netns, "eth7"},
		"of what never was, no namespace":     {"DEL", "never-" + s.Instance, "", "eth0"},
		"of what never was, namespace gone":   {"DEL", "never-" + s.Instance, "/run/netns/none-" + s.Instance, "eth0"},
		"by another container of a's network": {"DEL", "other-" + s.Instance, netns, "eth0"},
	} {
		if out, code := s.plugin(t, c); code != 0 || out != "" {
			t.Errorf("DEL %s: exit code %d: %s", name, code, out)
		}
	}
	if got := s.storeOf(t, "n1"); len(got) != len(before) {
		t.Errorf("the store holds %v, held %v", got, before)
	}
	if err := s.CheckPod(t.Context(), s.a.Name); err != nil {
		t.Errorf("CHECK of the pod: %v", err)
	}
	s.connected(t)

	// A namespace that is gone before its DEL: the address comes free.
	gone := s.addPod(t, "n1", "gone")
	if err := exec.CommandContext(t.Context(), "ip", "netns", "del", gone.NetNS).Run(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if out, code := s.plugin(t, call{"DEL", gone.ContainerID, "/run/netns/" + gone.NetNS, "eth0"}); code != 0 {
			t.Errorf("DEL without its namespace: exit code %d: %s", code, out)
		}
	}
	if got := s.storeOf(t, "n1"); len(got) != len(before) {
		t.Errorf("the store holds %v, held %v", got, before)
	}
	s.eventually(t, "pod's route is gone", func(ctx context.Context) error {
		_, err := s.Exec(ctx, "n1", "sh", "-c", "! ip route show "+gone.Address(topology.V4).String()+" | grep .")
		return err
	})
	if err := exec.CommandContext(t.Context(), "ip", "netns", "add", gone.NetNS).Run(); err != nil {
		t.Fatal(err) // for the lab to delete
	}
}

// storeOf are the addresses that a node's store has given out.
func (s *scene) storeOf(t *testing.T, node string) []store.Allocation {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(s.Node(node).RunDir(), rundir.Store, "state.json"))
	if err != nil {
		t.Fatal(err)
	}
	var st store.State
	if err := json.Unmarshal(data, &st); err != nil {
		t.Fatal(err)
	}
	return st.Allocations
}
