package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/cluster"
	"fairlead.dev/hack/lab/topology"
)

// install puts Fairlead beside the network that is there. Nothing changes for any pod.
func (m *move) install(t *testing.T) {
	t.Helper()
	for _, machine := range m.Machines() {
		m.run(t, machine, "mv", lateFile, otherFile)
	}
	values := m.objectValues(t)
	pools, _ := values["ipPools"].([]any)
	for _, pool := range pools {
		pool := pool.(map[string]any)
		spec := pool["spec"].(v1alpha1.IPPoolSpec)
		spec.Source = v1alpha1.SourceNodeSpec
		pool["spec"] = spec
	}
	if err := m.Upgrade(t.Context(), values); err != nil {
		t.Fatal(err)
	}
	for _, condition := range []string{"Ready", "Adopted"} {
		m.kubectl(t, "wait", "--for=condition="+condition, "--timeout="+bound.String(), "ippools", "--all")
	}
	var want []string
	for _, machine := range m.Machines() {
		for _, problem := range []string{"AddressesAvailable=False MovingIn", "CNIConfigured=False OtherFirst", "RoutesInSync=False RoutesFailed"} {
			want = append(want, "NodeState/"+machine.Name+" "+problem)
		}
	}
	m.problems(t, want)
	// The ToRs have a route to each podCIDR.
	if err := m.WaitRoutes(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.use.well(t, "install")
}

// bridgeNAT has a machine's new pods come to its old ones by the bridge's own IPv6
// address: to theirs the old ones would look for a way on the bridge.
const bridgeNAT = `add table ip6 moving-in
add chain ip6 moving-in out { type nat hook postrouting priority srcnat; }
add rule ip6 moving-in out iifname "fl*" oifname "cni0" masquerade`

// node moves a machine in.
func (m *move) node(t *testing.T, machine *cluster.Machine) {
	t.Helper()
	before, err := machine.Condition(t.Context(), corev1.NodeReady)
	if err != nil {
		t.Fatal(err)
	}
	m.kubectl(t, "cordon", machine.Name)
	m.run(t, machine, "sysctl", "-w", "net.ipv4.conf.cni0.proxy_arp=1")
	m.run(t, machine, "nft", bridgeNAT)
	m.run(t, machine, "mv", otherFile, "/root/")
	m.blocksBecome(t, machine, "open, with addresses of the other network", func(b block) bool { return !b.Closed && b.Foreign > 0 })
	m.kubectl(t, "uncordon", machine.Name)
	m.fresh(t, machine)
	after, err := machine.Condition(t.Context(), corev1.NodeReady)
	if err != nil || !after.LastTransitionTime.Equal(&before.LastTransitionTime) {
		t.Errorf("%s was not Ready all the time: %v, %v", machine.Name, after, err)
	}
	m.use.well(t, machine.Name+" moved")
}

// fresh starts pods, of which those on the machine are Fairlead's, and has them and the
// old ones find each other.
func (m *move) fresh(t *testing.T, machine *cluster.Machine) {
	t.Helper()
	known, err := m.Pods(t.Context(), "default", "app", app)
	if err != nil {
		t.Fatal(err)
	}
	m.kubectl(t, "scale", "deployment", app, fmt.Sprint("--replicas=", len(known)+len(m.Machines())))
	pods := m.rollout(t)
	ours, err := m.podRoutes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var fresh []corev1.Pod
	for _, pod := range podsOn(pods, machine.Name) {
		if slices.ContainsFunc(known, func(k corev1.Pod) bool { return k.UID == pod.UID }) {
			continue
		}
		fresh = append(fresh, pod)
		for _, a := range cluster.AddressesOf(pod) {
			inside := slices.ContainsFunc(m.cidrs[machine.Name], func(p netip.Prefix) bool { return p.Contains(a) })
			if !inside || !slices.Equal(ours[a.String()], []string{machine.Name}) {
				t.Errorf("the new pod %s has %s, which is led to by our routes of %v", pod.Name, a, ours[a.String()])
			}
		}
	}
	if len(fresh) == 0 {
		t.Fatalf("%s has no new pod", machine.Name)
	}
	m.meet(t, machine, fresh[0])
	told, err := m.podsAddresses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for a, machines := range told {
		if len(machines) > 1 {
			t.Errorf("%s is the address of pods on %v", a, machines)
		}
	}
}

// restart makes all pods anew, and ends those that have no Deployment.
func (m *move) restart(t *testing.T) {
	t.Helper()
	m.endOld(t)
	m.kubectl(t, "rollout", "restart", "deployment/"+app)
	m.kubectl(t, "--namespace", "kube-system", "rollout", "restart", "deployment/coredns")
	for _, machine := range m.Machines() {
		m.kubectl(t, "delete", "pod", oldPod(machine))
	}
	m.rollout(t)
	if err := m.WaitRollout(t.Context(), "kube-system", "deployment/coredns"); err != nil {
		t.Fatal(err)
	}
	m.use.well(t, "rollout restart")
}

// after takes away what a machine has left of the network before.
func (m *move) after(t *testing.T, machine *cluster.Machine) {
	t.Helper()
	m.eventually(t, "no old pod is left on "+machine.Name, func(ctx context.Context) error {
		out, err := machine.Exec(ctx, "ip", "-brief", "link", "show", "master", "cni0")
		if err == nil && out != "" {
			err = fmt.Errorf("there are\n%s", out)
		}
		return err
	})
	m.run(t, machine, "ip", "link", "delete", "cni0")
	m.run(t, machine, "nft", "delete", "table", "ip6", "moving-in")
	m.run(t, machine, "rm", "-r", "/var/lib/cni/networks/"+otherNetwork)
	m.blocksBecome(t, machine, "Fairlead's alone", func(b block) bool { return !b.Closed && b.Foreign == 0 })
	for _, p := range m.cidrs[machine.Name] {
		routes, err := m.KernelRoutes(t.Context(), machine.Name, topology.FamilyOf(p.Addr()))
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(routes, func(r lab.KernelRoute) bool { return r.Prefix == p })
		if i < 0 || routes[i].Type != "blackhole" {
			t.Errorf("in place of the bridge's route to %s there is none of the block", p)
		}
	}
	m.use.well(t, machine.Name+" has no bridge any more")
}
