package cluster

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/kube"
)

// applyObjects applies objects of any kind that the API server serves.
func (c *Cluster) applyObjects(ctx context.Context, objects ...*unstructured.Unstructured) error {
	admin, err := client.New(c.AdminConfig(), client.Options{Scheme: runtime.NewScheme()})
	if err != nil {
		return fmt.Errorf("make the admin's client: %w", err)
	}
	return kube.Apply(ctx, admin, objects...)
}

// CreateObjects creates the pools, BGPConfigurations and BGPPeers that an admin
// writes for the topology, as soon as their kinds are served. Those that are there stay.
func (c *Cluster) CreateObjects(ctx context.Context) error {
	for _, o := range lab.Objects(c.Topology()) {
		err := c.eventually(ctx, fmt.Sprintf("create %T %s", o, o.GetName()), func(ctx context.Context) error {
			err := c.Client().Create(ctx, o)
			if apierrors.IsAlreadyExists(err) {
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// WaitReady waits until every machine's Node is Ready.
func (c *Cluster) WaitReady(ctx context.Context) error {
	return c.eventually(ctx, "every Node is Ready", func(ctx context.Context) error {
		for _, m := range c.Machines() {
			if err := m.ready(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

func (m *Machine) ready(ctx context.Context) error {
	condition, err := m.Condition(ctx, corev1.NodeReady)
	if err == nil && condition.Status != corev1.ConditionTrue {
		err = fmt.Errorf("node %s is Ready=%s: %s", m.Name, condition.Status, condition.Message)
	}
	return err
}

// Condition of the machine's Node.
func (m *Machine) Condition(ctx context.Context, kind corev1.NodeConditionType) (corev1.NodeCondition, error) {
	var node corev1.Node
	if err := m.cluster.Client().Get(ctx, client.ObjectKey{Name: m.Name}, &node); err != nil {
		return corev1.NodeCondition{}, fmt.Errorf("get node %s: %w", m.Name, err)
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == kind {
			return condition, nil
		}
	}
	return corev1.NodeCondition{}, fmt.Errorf("node %s has no condition %s", m.Name, kind)
}
