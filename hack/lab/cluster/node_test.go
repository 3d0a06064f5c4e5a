package cluster_test

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/hack/lab/cluster"
	"fairlead.dev/hack/lab/labtest"
)

// TestNodeJoinsAndLeaves has a machine come, lose its power, get it back, and go.
func TestNodeJoinsAndLeaves(t *testing.T) {
	labtest.Root(t)
	c, err := cluster.Up(t.Context(), options("", func(string) {}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Down(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		labtest.NothingLeft(t, c.Instance)
	})
	const name = "late"
	m, err := c.AddNode(t.Context(), c.Topology().Racks[0].Name, name)
	if err != nil {
		t.Fatal(err)
	}
	registered := func(ctx context.Context) error {
		_, err := m.Condition(ctx, corev1.NodeReady)
		return err
	}
	labtest.Eventually(t, c.Lab, bound, "the new machine's Node", registered)
	if out, err := m.Exec(t.Context(), "hostname"); err != nil || out != name+"\n" {
		t.Errorf("it is called %q, %v", out, err)
	}
	if err := c.PowerOff(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if m.Running() {
		t.Error("it runs without power")
	}
	if err := c.PowerOn(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if err := c.RemoveNode(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if err := c.Client().Get(t.Context(), client.ObjectKey{Name: name}, &corev1.Node{}); !apierrors.IsNotFound(err) {
		t.Errorf("its Node: %v, want none", err)
	}
	if _, err := c.Process(name); err == nil {
		t.Error("the lab still knows its process")
	}
	if err := c.Dead(); err != nil {
		t.Error(err)
	}
}
