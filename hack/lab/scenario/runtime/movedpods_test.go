package runtime

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/cniplugin/rundir"
	"fairlead.dev/cniplugin/store"
	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/topology"
)

// joins makes the machine a node, with its agent in it: only there are the machine's
// network namespaces to be seen.
func (s *scene) joins(t *testing.T, m *machine) *lab.Process {
	t.Helper()
	if err := s.JoinNode(t.Context(), mover); err != nil {
		t.Fatal(err)
	}
	outside, err := s.Node(mover).Agent()
	if err != nil {
		t.Fatal(err)
	}
	if err := outside.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	agent, err := s.StartProcess(mover+"-agent-inside", m.command(s.Node(mover).AgentCommand()...)...)
	if err != nil {
		t.Fatal(err)
	}
	return agent
}

// endsWith lets processes end with their node, at the end of the test.
func (s *scene) endsWith(t *testing.T, processes ...*lab.Process) {
	t.Cleanup(func() {
		for _, p := range processes {
			if err := p.MayEnd(true); err != nil {
				t.Error(err)
			}
		}
	})
}

// freshPods starts many pods at once, and fails the test if one has an address that
// another has.
func (s *scene) freshPods(t *testing.T, c *containerd, others []sandbox) []sandbox {
	t.Helper()
	const many = 10
	pods := make([]sandbox, many)
	errs := make([]error, many)
	var wg sync.WaitGroup
	for i := range pods {
		wg.Go(func() {
			pods[i], errs[i] = c.run(t.Context(), c.podConfig(fmt.Sprint("fresh", len(others)+i)))
		})
	}
	wg.Wait()
	owner := map[netip.Addr]string{}
	for _, pod := range others {
		for _, a := range pod.addrs {
			owner[a] = pod.config.Metadata.Name
		}
	}
	for i, pod := range pods {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		for _, a := range pod.addrs {
			if first, taken := owner[a]; taken {
				t.Errorf("%s and %s both have %s", first, pod.config.Metadata.Name, a)
			}
			owner[a] = pod.config.Metadata.Name
		}
		if len(pod.addrs) != len(families()) || !netip.MustParsePrefix(cidr4).Contains(pod.address(topology.V4)) {
			t.Errorf("%s has %v", pod.config.Metadata.Name, pod.addrs)
		}
	}
	return pods
}

// oldMeetsNew: a pod behind the bridge takes all of the subnet for its neighbours, and
// asks there for one of ours; the node answers if the bridge's proxy_arp is set.
func (s *scene) oldMeetsNew(t *testing.T, m *machine, old, fresh sandbox) {
	t.Helper()
	m.run(t, "sysctl", "-qw", "net.ipv4.conf.cni0.proxy_arp=1")
	s.pinged(t, m.from("old", old.netns), fresh.address(topology.V4))
	s.pinged(t, m.from("fresh", fresh.netns), old.address(topology.V4))
}

// leaveNothingBefore ends the old pods: their addresses become free, at last those of
// the bridge itself, and the block's own route serves in its place.
func (s *scene) leaveNothingBefore(t *testing.T, m *machine, c *containerd, old, fresh []sandbox) {
	t.Helper()
	p, err := s.StartPing(t.Context(), s.far.Role(), fresh[0].address(topology.V4))
	if err != nil {
		t.Fatal(err)
	}
	c.gone(t, old...)
	// host-local's files stay behind, and are believed while they are fresh.
	m.run(t, "find", "/var/lib/cni/networks", "-type", "f", "-exec", "touch", "-d", "1 hour ago", "{}", "+")
	s.eventually(t, "the old pods' addresses are free", func(context.Context) error {
		for _, a := range foreign(t, s.Node(mover)) {
			if slices.ContainsFunc(old, func(b sandbox) bool { return slices.Contains(b.addrs, a) }) {
				return fmt.Errorf("%s is held", a)
			}
		}
		return nil
	})
	m.run(t, "ip", "link", "del", "cni0")
	s.eventually(t, "the bridge's addresses are free", func(context.Context) error {
		if held := foreign(t, s.Node(mover)); len(held) > 0 {
			return fmt.Errorf("%v are held", held)
		}
		return nil
	})
	for family, cidr := range map[string]string{"-4": cidr4, "-6": cidr6} {
		routes := m.run(t, "ip", family, "route", "show", cidr)
		if want := fmt.Sprintf("blackhole %s ", cidr); len(routes) < len(want) || routes[:len(want)] != want {
			t.Errorf("route of the block: %q", routes)
		}
	}
	trace, err := p.Stop()
	if err != nil || trace.Lost() > 0 {
		t.Errorf("while the old pods went: %v, %v", trace, err)
	}
	c.gone(t, fresh...)
}

// foreign are the addresses that the store holds for other networks.
func foreign(t *testing.T, n *lab.Node) (out []netip.Addr) {
	t.Helper()
	for _, a := range allocations(t, n) {
		if a.Kind == store.KindForeign {
			out = append(out, a.Address)
		}
	}
	return out
}

func storeOf(n *lab.Node) (st store.State, err error) {
	data, err := os.ReadFile(filepath.Join(n.RunDir(), rundir.Store, "state.json"))
	if err == nil {
		err = json.Unmarshal(data, &st)
	}
	return st, err
}

// says waits until a condition of the mover has a reason.
func (s *scene) says(t *testing.T, kind, reason string) {
	t.Helper()
	s.eventually(t, kind+" "+reason, func(ctx context.Context) error {
		n := &v1alpha1.NodeState{}
		if err := s.Client().Get(ctx, client.ObjectKey{Name: mover}, n); err != nil {
			return err
		}
		if c := meta.FindStatusCondition(n.Status.Conditions, kind); c == nil || c.Reason != reason {
			return fmt.Errorf("%+v", n.Status.Conditions)
		}
		return nil
	})
}

// create creates an object, which is deleted at the end of the test.
func (s *scene) create(t *testing.T, o client.Object) {
	t.Helper()
	if err := s.Client().Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.IgnoreNotFound(s.Client().Delete(context.WithoutCancel(t.Context()), o)); err != nil {
			t.Error(err)
		}
	})
}

func (s *scene) exec(t *testing.T, role string, argv ...string) {
	t.Helper()
	if out, err := s.Exec(t.Context(), role, argv...); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
