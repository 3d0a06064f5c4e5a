package cluster

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"fairlead.dev/hack/lab/cluster"
	"fairlead.dev/hack/lab/load"
	"fairlead.dev/hack/lab/topology"
)

// ask has users ask from now on: from behind the spines old pods, by connections that
// stay, from old pods the Service, and from each machine the Service, by connections
// that do not stay.
func (m *move) ask(t *testing.T) {
	t.Helper()
	ctx, use := m.scene.use(t)
	m.use = use
	to := m.clusterIPs(t, app)
	for i, machine := range m.Machines() {
		old, family := m.old[machine.Name], i%len(to)
		for _, service := range to {
			m.answers(t, podNS(t, old), service)
			m.answers(t, m.ns(machine.Name), service)
		}
		use.ask(ctx, toOld(machine), m.ns(topology.RoleControlPlane), at(old)[family], rate/10)
		use.ask(ctx, fromOld(machine), podNS(t, old), to[family], rate/10)
		use.loads["from "+machine.Name+" to the Service"] = load.Start(ctx, load.Options{
			From: m.ns(machine.Name), URL: fmt.Sprintf("http://%s/hostname", to[family]), Rate: rate / 10, Once: true,
		})
		for _, a := range cluster.AddressesOf(old) {
			p, err := m.StartPing(ctx, topology.RoleControlPlane, a)
			if err != nil {
				t.Fatal(err)
			}
			m.pings = append(m.pings, p)
		}
	}
}

func toOld(machine *cluster.Machine) string { return "from behind the spines to " + oldPod(machine) }

func fromOld(machine *cluster.Machine) string { return "from " + oldPod(machine) + " to the Service" }

// endOld ends what is asked of old pods, and by them.
func (m *move) endOld(t *testing.T) {
	t.Helper()
	for _, machine := range m.Machines() {
		m.use.end(t, toOld(machine))
		m.use.end(t, fromOld(machine))
	}
	for _, p := range m.pings {
		trace, err := p.Stop()
		if err != nil || trace.Lost() > 0 || trace.Sent < 100 {
			t.Errorf("pings of old pods: %v, %v", trace, err)
		}
	}
}

// rollout waits until all pods of the Deployment are as wanted, and returns them.
func (m *move) rollout(t *testing.T) []corev1.Pod {
	t.Helper()
	if err := m.WaitRollout(t.Context(), "default", "deployment/"+app); err != nil {
		t.Fatal(err)
	}
	pods, err := m.Pods(t.Context(), "default", "app", app)
	if err != nil {
		t.Fatal(err)
	}
	return pods
}

func (m *move) kubectl(t *testing.T, args ...string) {
	t.Helper()
	if _, err := m.Kubectl(t.Context(), args...); err != nil {
		t.Fatal(err)
	}
}

// run runs a command on a machine.
func (m *move) run(t *testing.T, machine *cluster.Machine, argv ...string) {
	t.Helper()
	if _, err := machine.Exec(context.WithoutCancel(t.Context()), argv...); err != nil {
		t.Fatal(err)
	}
}
