package node_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/controller/node"
	"fairlead.dev/hack/lab/kube"
	"fairlead.dev/hack/lab/kube/kubetest"
)

// At a first install the agent may be there before its kinds, its BGPNode and the
// controller that writes it.
func TestAgentBeforeItsKinds(t *testing.T) {
	plane := kubetest.Bare(t)
	dir := t.TempDir()
	w := &world{plane: plane, name: "n", wake: make(chan struct{}, 1), keys: 200 * time.Millisecond, cfg: plane.AdminConfig()}
	w.mem = func() *node.Memory { return node.NewMemory(dir, node.Identity{Node: "n"}, "boot", time.Minute) }
	w.agent, w.admin = newClient(t, w.cfg), newClient(t, w.cfg)
	a, stop := w.start(t)
	defer stop()
	if _, _, ok := a.Current(t.Context()); ok {
		t.Fatal("an Intent from nowhere")
	}
	if err := kube.Install(t.Context(), plane.AdminConfig()); err != nil {
		t.Fatal(err)
	}
	if _, _, ok := a.Current(t.Context()); ok {
		t.Error("an Intent without a BGPNode")
	}
	w.create(t, &v1alpha1.BGPNode{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Spec: v1alpha1.BGPNodeSpec{
		NodeUID: "u", ASNumber: 64512, RouterID: "192.0.2.1", ListenPort: 179, GracefulRestartSeconds: 120,
	}})
	const patience = 90 * time.Second // the wait between two tries grows to half a minute
	for deadline := time.Now().Add(patience); ; {
		if in, source, ok := a.Current(t.Context()); ok {
			if in.Node.Spec.RouterID != "192.0.2.1" || source != node.FromAPI {
				t.Errorf("got %+v from %s", in.Node, source)
			}
			return
		}
		select {
		case <-w.wake:
		case <-time.After(time.Until(deadline)):
			t.Fatal("nothing is known, long after all is there")
		}
	}
}
