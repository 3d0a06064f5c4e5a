package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/config"
	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/cluster"
	"fairlead.dev/hack/lab/labtest"
)

// TestFirstInstall is what meets a cluster without a network. Its nodes have
// kube-proxy by iptables.
func TestFirstInstall(t *testing.T) {
	long(t)
	s := up(t, cluster.Options{
		Idle: true, LateAddresses: true, StartupTaint: true, Proxy: cluster.IPTables,
		Lab: lab.Options{Topology: pair()},
	})
	bird := s.occupy(t, s.last())
	s.installInAnyOrder(t)
	labtest.Run(t, s.Lab, s.settled, []labtest.Scenario{
		{Name: "nodes open", Run: s.open},
		{Name: "BGP port taken", Run: func(t *testing.T) { s.portTaken(t, bird) }},
		{Name: "two controllers on a node", Run: s.twoControllers},
		{Name: "services", Run: s.services},
		{Name: "BGP port free", Run: s.portFree},
	})
}

// step of a first install, which somebody takes at some time.
type step struct {
	name string
	// after are steps that must have been taken, or this one waits for them.
	after []string
	do    func(context.Context) error
}

// installInAnyOrder takes all steps in a random order, and each, if it can, to its
// end before the next.
func (s *scene) installInAnyOrder(t *testing.T) {
	t.Helper()
	steps := s.steps()
	rand.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
	g, ctx := errgroup.WithContext(t.Context())
	taken := map[string]bool{}
	for _, step := range steps {
		taken[step.name] = true
		wait := !slices.ContainsFunc(step.after, func(name string) bool { return !taken[name] })
		t.Logf("%s (to its end: %v)", step.name, wait)
		done := make(chan struct{})
		g.Go(func() error {
			defer close(done)
			if err := step.do(ctx); err != nil {
				return fmt.Errorf("%s: %w", step.name, err)
			}
			return nil
		})
		if wait {
			<-done
		}
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

func (s *scene) steps() []step {
	const chart = "the chart"
	// Its Job needs a node, and that Helm waits for.
	install := step{name: chart, do: func(ctx context.Context) error { return s.Upgrade(ctx, nil) }}
	steps := []step{{name: "pools and peers", after: []string{chart}, do: s.CreateObjects}}
	for _, m := range s.Machines() {
		power := "the power of " + m.Name
		install.after = append(install.after, power)
		steps = append(
			steps,
			step{name: power, do: func(ctx context.Context) error { return s.PowerOn(ctx, m.Name) }},
			step{name: "the addresses of " + m.Name, after: []string{power}, do: func(ctx context.Context) error { return s.address(ctx, m) }},
		)
	}
	return append(steps, install)
}

// address gives a machine its addresses once its Node is there, without any.
func (s *scene) address(ctx context.Context, m *cluster.Machine) error {
	if _, err := s.Kubectl(ctx, "wait", "--for=create", "--timeout="+bound.String(), "node/"+m.Name); err != nil {
		return err
	}
	var node corev1.Node
	if err := s.Client().Get(ctx, client.ObjectKey{Name: m.Name}, &node); err != nil {
		return err
	}
	for _, a := range node.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			return fmt.Errorf("%s has the address %s before it was given one", m.Name, a.Address)
		}
	}
	if !tainted(node, v1alpha1.AgentNotReadyTaint) {
		return fmt.Errorf("%s is open to pods before it has an address", m.Name)
	}
	if err := s.loseNetwork(ctx, node); err != nil {
		return err
	}
	// One that has waited long for its node's addresses ends when they come.
	proxy, err := m.Service(cluster.KubeProxy)
	if err != nil {
		return err
	}
	return errors.Join(proxy.MayEnd(true), s.GiveAddresses(ctx, m.Name), proxy.Restart(ctx))
}

// loseNetwork says that a Node has no network, as some clouds' controllers do.
func (s *scene) loseNetwork(ctx context.Context, node corev1.Node) error {
	now := metav1.Now()
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"conditions": []corev1.NodeCondition{{
		Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionTrue, Reason: "NoRouteCreated",
		LastHeartbeatTime: now, LastTransitionTime: now,
	}}}})
	if err != nil {
		return err
	}
	return s.Client().Status().Patch(ctx, &node, client.RawPatch(types.StrategicMergePatchType, patch))
}

func tainted(node corev1.Node, key string) bool {
	return slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Key == key })
}

// open: nothing keeps pods off the nodes any more.
func (s *scene) open(t *testing.T) {
	s.nodes(t)
	for _, m := range s.Machines() {
		s.eventually(t, m.Name+" is open to pods", func(ctx context.Context) error {
			if taints := s.nodeObject(t, m.Name).Spec.Taints; len(taints) > 0 {
				return fmt.Errorf("it has the taints %v", taints)
			}
			network, err := m.Condition(ctx, corev1.NodeNetworkUnavailable)
			if err == nil && network.Status != corev1.ConditionFalse {
				err = fmt.Errorf("its network is not said to be there: %s", network.Message)
			}
			return err
		})
	}
}

// twoControllers: the ports of the host network are values, so that both replicas
// fit on one node, if that is all there is.
func (s *scene) twoControllers(t *testing.T) {
	err := s.Upgrade(t.Context(), map[string]any{"controller": map[string]any{
		"nodeSelector": map[string]any{corev1.LabelHostname: s.first()},
		"settings":     map[string]any{"healthAddress": "", "metricsAddress": ""},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if err := errors.Join(s.Upgrade(ctx, nil), s.WaitRollout(ctx, config.DefaultNamespace, "deployment/fairlead-controller")); err != nil {
			t.Error(err)
		}
	})
	if err := s.WaitRollout(t.Context(), config.DefaultNamespace, "deployment/fairlead-controller"); err != nil {
		t.Fatal(err)
	}
	pods, err := s.Pods(t.Context(), config.DefaultNamespace, "app.kubernetes.io/component", "controller")
	if err != nil {
		t.Fatal(err)
	}
	if there := podsOn(pods, s.first()); len(there) != 2 || len(pods) != 2 {
		t.Errorf("%d controllers, of them on %s: %d, want both", len(pods), s.first(), len(there))
	}
	// One of them does its work.
	if _, err := s.Kubectl(t.Context(), "taint", "node", s.last(), v1alpha1.AgentNotReadyTaint+"=:NoSchedule"); err != nil {
		t.Fatal(err)
	}
	s.open(t)
}
