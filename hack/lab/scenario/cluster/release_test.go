package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/config"
	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/cluster"
)

// TestRelease is the life of a release by the chart alone: pools and peers are
// values of its first install, and what it leaves on the nodes the chart's own Pods
// take off again.
func TestRelease(t *testing.T) {
	s := up(t, cluster.Options{Lab: lab.Options{Topology: pair()}})
	before := map[string]string{}
	for _, m := range s.Machines() {
		before[m.Name] = s.trace(t, m)
	}
	values := s.objectValues(t)
	if err := s.Upgrade(t.Context(), values); err != nil {
		t.Fatal(err)
	}
	if err := s.settled(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.powers(t)
	s.alertsHaveMetrics(t)
	s.helmTest(t)
	s.definitions(t, values)
	s.uninstall(t)
	s.clean(t, before)
}

// objectValues are the topology's pools, BGPConfigurations and BGPPeers as values of
// the chart. The keys of sessions are no values: an admin makes their Secrets.
func (s *scene) objectValues(t *testing.T) map[string]any {
	t.Helper()
	values := map[string]any{"agent": map[string]any{"maxUnavailable": "100%"}}
	add := func(list, name string, spec any) {
		items, _ := values[list].([]any)
		values[list] = append(items, map[string]any{"name": name, "spec": spec})
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: config.DefaultNamespace}}
	if err := s.Client().Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	for _, o := range lab.Objects(s.Topology()) {
		switch o := o.(type) {
		case *v1alpha1.IPPool:
			add("ipPools", o.Name, o.Spec)
		case *v1alpha1.BGPConfiguration:
			add("bgpConfigurations", o.Name, o.Spec)
		case *v1alpha1.BGPPeer:
			add("bgpPeers", o.Name, o.Spec)
		default:
			if err := s.Client().Create(t.Context(), o); err != nil {
				t.Fatal(err)
			}
		}
	}
	return values
}

// powers: the kernel holds each agent to its two capabilities.
func (s *scene) powers(t *testing.T) {
	t.Helper()
	pods, err := s.Pods(t.Context(), config.DefaultNamespace, "app.kubernetes.io/component", "agent")
	if err != nil {
		t.Fatal(err)
	}
	mask := fmt.Sprintf("%016x", 1<<unix.CAP_NET_ADMIN|1<<unix.CAP_NET_BIND_SERVICE)
	for _, pod := range pods {
		pid, err := processOf(pod.UID, "/bin/fairlead-agent")
		if err != nil {
			t.Fatal(err)
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"CapEff:\t" + mask, "CapBnd:\t" + mask, "CapAmb:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"} {
			if !strings.Contains(string(status), "\n"+want+"\n") {
				t.Errorf("the agent on %s is not %q:\n%s", pod.Spec.NodeName, want, status)
			}
		}
	}
	if len(pods) != len(s.Machines()) {
		t.Errorf("%d agents on %d machines", len(pods), len(s.Machines()))
	}
}

// alertsHaveMetrics: what the chart's alerts read is served by some controller or agent.
func (s *scene) alertsHaveMetrics(t *testing.T) {
	t.Helper()
	alerts, err := os.ReadFile(filepath.Join(s.Chart(), "files", "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	wanted := regexp.MustCompile(`fairlead_[a-z_]+`).FindAllString(string(alerts), -1)
	s.eventually(t, "all metrics of the alerts are served", func(ctx context.Context) error {
		var served strings.Builder
		for _, m := range s.Machines() {
			for _, port := range []uint16{9470, 9472} { // not every machine has a controller
				text, _ := get(ctx, s.ns(m.Name), netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port), "/metrics")
				served.WriteString("\n" + text)
			}
		}
		for _, name := range wanted {
			if !regexp.MustCompile(`\n` + name + `[ {]`).MatchString(served.String()) {
				return fmt.Errorf("nobody serves %s", name)
			}
		}
		return nil
	})
}

// helmTest: it succeeds, and does not while a peer cannot be reached.
func (s *scene) helmTest(t *testing.T) {
	t.Helper()
	out, err := s.release(t, "test", cluster.Release, "--logs")
	if err != nil || strings.Count(out, "All is well.") != 2 {
		t.Errorf("helm test: %v\n%s", err, out)
	}
	nobody := &v1alpha1.BGPPeer{
		ObjectMeta: metav1.ObjectMeta{Name: "nobody"}, Spec: v1alpha1.BGPPeerSpec{Address: "192.0.2.1", ASNumber: 64999},
	}
	if err := s.Client().Create(t.Context(), nobody); err != nil {
		t.Fatal(err)
	}
	s.eventually(t, "the peer counts", func(ctx context.Context) error {
		if _, err := s.Kubectl(ctx, "wait", "--for=jsonpath={.status.sessionsWanted}=2", "--timeout=1s", "bgppeer/nobody"); err != nil {
			return err
		}
		return nil
	})
	if out, err := s.release(t, "test", cluster.Release, "--timeout", "10s"); err == nil {
		t.Errorf("helm test finds nothing wrong with a peer that nobody is:\n%s", out)
	}
	if err := s.Client().Delete(t.Context(), nobody); err != nil {
		t.Fatal(err)
	}
}

// definitions: an upgrade brings an older definition up to date.
func (s *scene) definitions(t *testing.T, values map[string]any) {
	t.Helper()
	const name, columns = "crd/bgppeers.fairlead.dev", "/spec/versions/0/additionalPrinterColumns"
	if _, err := s.Kubectl(t.Context(), "patch", name, "--type=json", "-p", `[{"op": "remove", "path": "`+columns+`"}]`); err != nil {
		t.Fatal(err)
	}
	if err := s.Upgrade(t.Context(), values); err != nil {
		t.Fatal(err)
	}
	out, err := s.Kubectl(t.Context(), "get", name, "-o", "jsonpath={.spec.versions[0].additionalPrinterColumns[*].name}")
	if err != nil || out == "" {
		t.Errorf("the upgrade left the older definition: %q, %v", out, err)
	}
}

// uninstall leaves pods, routes, and what users wrote.
func (s *scene) uninstall(t *testing.T) {
	t.Helper()
	pods := s.serve(t, "stays", len(s.Machines()))
	if _, err := s.release(t, "uninstall", cluster.Release, "--wait"); err != nil {
		t.Fatal(err)
	}
	from, to := on(t, pods, s.first()), on(t, pods, s.last())
	for _, address := range at(to) {
		s.answers(t, podNS(t, from), address)
	}
	for _, kind := range []string{"ippools", "bgpconfigurations", "bgppeers"} {
		if out, err := s.Kubectl(t.Context(), "get", kind, "-o", "name"); err != nil || out == "" {
			t.Errorf("no %s are left: %v", kind, err)
		}
	}
}

// clean: the chart's Pods wait for the last pod of a node, and then leave it as it
// was before the install.
func (s *scene) clean(t *testing.T, before map[string]string) {
	t.Helper()
	text, err := json.Marshal(s.Values())
	if err != nil {
		t.Fatal(err)
	}
	values := filepath.Join(t.TempDir(), "values.json")
	if err := os.WriteFile(values, text, 0o600); err != nil {
		t.Fatal(err)
	}
	manifest, err := s.release(t, "template", cluster.Release, s.Chart(), "--values", values, "--kube-version", "1.32.0",
		"--show-only", "templates/cleanup.yaml", "--set", "cleanup.nodes={"+s.first()+","+s.last()+"}")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(t.Context(), manifest); err != nil {
		t.Fatal(err)
	}
	s.eventually(t, "cleanup says that pods are there", func(ctx context.Context) error {
		out, err := s.Kubectl(ctx, "--namespace", config.DefaultNamespace, "logs", "--previous", "fairlead-cleanup-"+s.first())
		if err == nil && !strings.Contains(out, "pods use Fairlead") {
			err = fmt.Errorf("it says %q", out)
		}
		return err
	})
	for _, args := range [][]string{
		{"delete", "deployment", "stays", "--wait"},
		{"--namespace", "kube-system", "delete", "deployment", "coredns", "--wait"},
		{"--namespace", config.DefaultNamespace, "wait", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=" + bound.String(), "pod", "-l", "app.kubernetes.io/component=cleanup"},
	} {
		if out, err := s.Kubectl(t.Context(), args...); err != nil {
			t.Fatalf("kubectl %v: %v\n%s", args, err, out)
		}
	}
	for _, m := range s.Machines() {
		if after := s.trace(t, m); after != before[m.Name] {
			t.Errorf("%s before the install:\n%s\nafter cleanup:\n%s", m.Name, before[m.Name], after)
		}
	}
}

// trace is all that Fairlead ever changes on a machine.
func (s *scene) trace(t *testing.T, m *cluster.Machine) string {
	t.Helper()
	out, err := m.Exec(t.Context(), "sh", "-c", `
ip -o link | sed 's/.*: \([^:@]*\).*: <.*/\1/' | sort
ip rule; ip -6 rule; ip route show table all | grep -v broadcast | sort; ip -6 route show table main | sort
nft list tables | grep -v -e kube-proxy -e 'table ip6\? \(filter\|nat\|mangle\)$' || true
sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding net.ipv4.fib_multipath_hash_policy net.ipv6.fib_multipath_hash_policy
sysctl -a 2>/dev/null | grep -e '\.accept_ra = ' -e '\.forwarding = ' | sort
find /etc/cni/net.d /opt/cni/bin /var/lib/fairlead /run/fairlead 2>/dev/null | grep -v '^/var/lib/fairlead$' | sort`)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out, "\n")
	return strings.Join(slices.Compact(lines), "\n")
}
