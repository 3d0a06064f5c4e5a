package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/hack/lab/kube/kubetest"
)

func TestMain(m *testing.M) { kubetest.Main(m) }

// TestAPI reads real objects from a real API server, as an administrator and as
// somebody who may not.
func TestAPI(t *testing.T) {
	plane := kubetest.Shared(t)
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(plane.AdminConfig(), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	createNode(t, c)

	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := plane.WriteKubeconfig(kubeconfig, plane.AdminConfig()); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"status": "All is well.",
		"peers":  "n1    r1-tor1  10.1.0.1  65001  Established  ",
		"blocks": "n1    10.244.1.0/26  pods  Leased  7/62  yes         yes ",
	} {
		out, err := runCLI(t, name, "--kubeconfig", kubeconfig)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !strings.Contains(out, want) {
			t.Errorf("%s lacks %q:\n%s", name, want, out)
		}
	}

	nobody, err := plane.ConfigFor("nobody")
	if err != nil {
		t.Fatal(err)
	}
	if err := plane.WriteKubeconfig(kubeconfig, nobody); err != nil {
		t.Fatal(err)
	}
	if _, err := runCLI(t, "status", "--kubeconfig", kubeconfig); err == nil || !strings.Contains(err.Error(), "list Nodes: ") {
		t.Errorf("status for nobody: %v", err)
	}
}

// createNode makes n1 with a block and a report.
func createNode(t *testing.T, c client.Client) {
	t.Helper()
	create := func(o client.Object) {
		t.Helper()
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatalf("create %T: %v", o, err)
		}
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}
	create(node)
	create(&v1alpha1.BGPNode{ObjectMeta: metav1.ObjectMeta{Name: "n1"}, Spec: v1alpha1.BGPNodeSpec{
		NodeUID: string(node.UID), ASNumber: 65101, RouterID: "10.1.0.11", ListenPort: 179, GracefulRestartSeconds: 120,
	}})
	lease := &v1alpha1.IPBlock{ObjectMeta: metav1.ObjectMeta{Name: "10.244.1.0-26"}, Spec: v1alpha1.IPBlockSpec{
		CIDR: "10.244.1.0/26", PoolName: "pods", PoolUID: "pods-uid",
		NodeName: "n1", NodeUID: string(node.UID), State: v1alpha1.BlockLeased,
	}}
	create(lease)
	state := &v1alpha1.NodeState{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}
	create(state)
	state.Status = report("n1", "b1", "10.244.1.0/26").Status
	state.Status.NodeUID = string(node.UID)
	state.Status.Blocks[0].UID = string(lease.UID)
	if err := c.Status().Update(t.Context(), state); err != nil {
		t.Fatal(err)
	}
}
