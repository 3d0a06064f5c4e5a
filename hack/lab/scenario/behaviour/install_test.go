package behaviour

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	cnitypes "github.com/containernetworking/cni/pkg/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/cniplugin/install"
	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/labtest"
	"fairlead.dev/hack/lab/topology"
)

func confFile(n *lab.Node) string { return filepath.Join(n.CNIConfDir(), install.ConfName) }

// conflist is the file and who it is: one that was written again is another.
func conflist(t *testing.T, n *lab.Node) ([]byte, os.FileInfo) {
	t.Helper()
	data, err := os.ReadFile(confFile(n))
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(confFile(n))
	if err != nil {
		t.Fatal(err)
	}
	return data, info
}

// unchanged fails the test if the configuration was taken away or written again.
func unchanged(t *testing.T, when string, n *lab.Node, was os.FileInfo) {
	t.Helper()
	if _, is := conflist(t, n); !os.SameFile(was, is) {
		t.Errorf("%s: the configuration was written again", when)
	}
}

func (s *scene) agent(t *testing.T, node string) *lab.Process {
	t.Helper()
	return labtest.Agent(t, s.Lab, node)
}

func (s *scene) startAgent(t *testing.T, node string) {
	t.Helper()
	if err := s.agent(t, node).Start(); err != nil {
		t.Fatal(err)
	}
	s.eventually(t, "agent of "+node+" ready", func(ctx context.Context) error { return s.ready(ctx, node, 200, "ok") })
}

// configurationKept ends agents and takes the configuration away from another.
func (s *scene) configurationKept(t *testing.T) {
	n := s.Node("n2")
	want, was := conflist(t, n)
	for name, end := range map[string]func(*lab.Process, context.Context) error{"SIGTERM": (*lab.Process).Stop, "SIGKILL": (*lab.Process).Kill9} {
		if err := end(s.agent(t, "n2"), t.Context()); err != nil {
			t.Fatal(err)
		}
		unchanged(t, "after "+name, n, was)
		s.addPod(t, "n2", "without-agent")
		s.delPod(t, "without-agent")
		s.startAgent(t, "n2")
		unchanged(t, "by the agent after "+name, n, was)
	}
	if err := os.Remove(confFile(n)); err != nil {
		t.Fatal(err)
	}
	s.eventually(t, "configuration written again", func(context.Context) error {
		got, err := os.ReadFile(confFile(n))
		if err == nil && !bytes.Equal(got, want) {
			err = fmt.Errorf("it is %s", got)
		}
		return err
	})
}

// rivalsReported puts another provider's configuration before ours.
func (s *scene) rivalsReported(t *testing.T) {
	const other = `{"cniVersion": "1.0.0", "name": "other", "plugins": [{"type": "other-provider"}]}`
	n := s.Node("n2")
	_, was := conflist(t, n)
	rival := filepath.Join(n.CNIConfDir(), "05-other.conflist")
	t.Cleanup(func() { _ = os.Remove(rival) })
	for _, step := range []struct{ content, reason, says string }{
		{other, "OtherFirst", "move it out of the folder"},
		{other[:20], "BrokenFileFirst", "mend it"},
	} {
		if err := os.WriteFile(rival, []byte(step.content), 0o600); err != nil {
			t.Fatal(err)
		}
		s.holds(t, nodeState("n2"), v1alpha1.ConditionCNIConfigured, metav1.ConditionFalse, step.reason, "05-other.conflist", step.says)
		if got, err := os.ReadFile(rival); err != nil || string(got) != step.content {
			t.Errorf("another's file is %q, %v", got, err)
		}
	}
	if err := s.ready(t.Context(), "n2", 200, "ok"); err != nil {
		t.Errorf("it is no fault of the agent: %v", err)
	}
	if err := os.Remove(rival); err != nil {
		t.Fatal(err)
	}
	s.holds(t, nodeState("n2"), v1alpha1.ConditionCNIConfigured, metav1.ConditionTrue, "Configured")
	unchanged(t, "beside another's", n, was)
}

// first is what version 0.1.0 wrote: our plugin alone, without capabilities.
func first(n *lab.Node) string {
	return fmt.Sprintf(`{"cniVersion": "1.0.0", "cniVersions": ["0.4.0", "1.0.0", "1.1.0"], "name": "fairlead",
  "plugins": [{"type": "fairlead", "runDir": %q}]}`, n.RunDir())
}

// downgrade puts the first version's configuration in place, without an agent:
// today's would replace it.
func (s *scene) downgrade(t *testing.T, n *lab.Node) {
	t.Helper()
	if err := s.agent(t, n.Name).Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(confFile(n), []byte(first(n)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// wishes use every plugin of the chain.
func wishes(port int) lab.Wants {
	return lab.Wants{
		HostPorts: []lab.HostPort{{HostPort: port, ContainerPort: 80, Protocol: "tcp"}},
		Bandwidth: &lab.Bandwidth{IngressRate: 1e9, IngressBurst: 1e9, EgressRate: 1e9, EgressBurst: 1e9},
	}
}

// upgraded replaces programs and configuration under pods of both versions, and
// ends each pod under the other version: by the configuration that it was added
// with, as CRI-O does, and by the present one, as containerd does.
func (s *scene) upgraded(t *testing.T) {
	n := s.Node("n1")
	s.downgrade(t, n)
	s.addWanting(t, "old-kept", 8001)
	s.addWanting(t, "old-present", 8002)
	s.chained(t, "by the first version", 0)

	s.startAgent(t, "n1")
	got, _ := conflist(t, n)
	want, _ := conflist(t, s.Node("n2"))
	if string(got) != strings.ReplaceAll(string(want), s.Node("n2").RunDir(), n.RunDir()) {
		t.Errorf("configuration after the upgrade:\n%s", got)
	}
	s.replaced(t, n)
	if err := s.CheckPodAsAdded(t.Context(), "old-kept"); err != nil {
		t.Errorf("CHECK of a pod of before the upgrade: %v", err)
	}
	s.addWanting(t, "new-kept", 8003)
	s.addWanting(t, "new-present", 8004)
	s.chained(t, "after the upgrade", 2)
	if err := errors.Join(s.DelPodAsAdded(t.Context(), "old-kept"), s.DelPod(t.Context(), "old-present")); err != nil {
		t.Error(err)
	}
	s.chained(t, "after the end of the old pods", 2)

	s.downgrade(t, n)
	if err := s.DelPodAsAdded(t.Context(), "new-kept"); err != nil {
		t.Error(err)
	}
	s.chained(t, "after a downgrade and the end of a pod as it was added", 1)
	s.startAgent(t, "n1")
	s.delPod(t, "new-present")
	s.chained(t, "at the end", 0)
	if err := s.WaitAddressesUsed(t.Context(), "n1", int64(len(s.a.Addresses)), bound); err != nil {
		t.Error(err)
	}
}

func (s *scene) addWanting(t *testing.T, name string, port int) {
	t.Helper()
	pod, err := s.AddPodWanting(t.Context(), "n1", name, wishes(port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := s.Pod(name); err == nil {
			_ = s.DelPod(context.WithoutCancel(t.Context()), name)
		}
	})
	for _, f := range s.Topology().Families() {
		s.answered(t, s.c, pod.Address(f))
	}
}

// chained compares how many of n1's pods hold something of portmap and of bandwidth.
func (s *scene) chained(t *testing.T, when string, pods int) {
	t.Helper()
	rules := 0
	for _, family := range []string{"ip", "ip6"} {
		tables, err := s.Exec(t.Context(), "n1", "nft", "list", "tables", family)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(tables, "cni_hostport") {
			continue
		}
		out, err := s.Exec(t.Context(), "n1", "nft", "list", "table", family, "cni_hostport")
		if err != nil {
			t.Fatal(err)
		}
		rules += strings.Count(out, "dnat to")
	}
	links, err := s.Exec(t.Context(), "n1", "ip", "-o", "link", "show", "type", "ifb")
	if err != nil {
		t.Fatal(err)
	}
	if ifbs := strings.Count(links, "\n"); rules != pods*len(s.Topology().Families()) || ifbs != pods {
		t.Errorf("%s: %d rules for host ports and %d links for bandwidth, want those of %d pods", when, rules, ifbs, pods)
	}
}

// replaced has another build of every program take turns with this one while
// pods come and go: each call runs one of the two, whole.
func (s *scene) replaced(t *testing.T, n *lab.Node) {
	t.Helper()
	programs, err := os.ReadDir(n.CNIBinDir())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var replacing sync.WaitGroup
	rounds := 0
	replacing.Go(func() {
		for ; ctx.Err() == nil; rounds++ {
			for _, p := range programs {
				if err := rebuild(filepath.Join(n.CNIBinDir(), p.Name())); err != nil {
					t.Error(err)
					return
				}
			}
			if err := n.InstallCNI(context.WithoutCancel(ctx)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for i := range 6 {
		name := fmt.Sprintf("meanwhile%d", i)
		s.addPod(t, "n1", name)
		s.delPod(t, name)
	}
	stop()
	replacing.Wait()
	if rounds == 0 {
		t.Error("no program was replaced meanwhile")
	}
}

// rebuild puts the same program with other bytes in place of a file, in one step.
func rebuild(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	temp := path + ".rebuilt"
	if err := os.WriteFile(temp, append(data, "another build"...), 0o755); err != nil { //nolint:gosec // a program
		return err
	}
	return os.Rename(temp, path)
}

// uninstalled takes everything of ours off a node whose pods run on, and puts it back.
func (s *scene) uninstalled(t *testing.T) {
	n := s.Node("n1")
	cleanup := func(want string) {
		t.Helper()
		if err := n.Cleanup(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("cleanup: %v, want it refused with %q", err, want)
		}
	}
	cleanup("stop it before cleanup")
	if err := s.agent(t, "n1").Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	cleanup("pods use Fairlead on this node")
	if _, err := os.Stat(confFile(n)); err != nil {
		t.Errorf("a refused cleanup took the configuration away: %v", err)
	}

	if err := install.Remove(n.CNIBinDir(), n.CNIConfDir()); err != nil {
		t.Fatal(err)
	}
	for _, f := range s.Topology().Families() {
		s.answered(t, s.c, s.a.Address(f)) // by both its ToRs
		s.answered(t, s.b, s.a.Address(f))
	}
	var refused *cnitypes.Error
	if _, err := s.AddPodOnce(t.Context(), "n1", "early"); err == nil || errors.As(err, &refused) {
		t.Errorf("a pod was given to a node without configuration: %v", err)
	}

	if err := n.InstallCNI(t.Context()); err != nil {
		t.Fatal(err)
	}
	if files, err := os.ReadDir(n.CNIConfDir()); err != nil || slices.ContainsFunc(files, func(f os.DirEntry) bool { return f.Name() == install.ConfName }) {
		t.Errorf("the init container wrote a configuration: %v, %v", files, err)
	}
	s.startAgent(t, "n1")
	if err := s.CheckPod(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	late := s.addPod(t, "n1", "late")
	s.answered(t, s.c, late.Address(topology.V4))
}
