package cluster

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// uninitialized is the taint of Nodes that wait for a cloud's controller.
const uninitialized = "node.cloudprovider.kubernetes.io/uninitialized"

// GiveAddresses does for a Node under LateAddresses what a cloud's controller
// does: it says the machine's addresses and takes the taint off.
func (c *Cluster) GiveAddresses(ctx context.Context, name string) error {
	var node corev1.Node
	if err := c.Client().Get(ctx, client.ObjectKey{Name: name}, &node); err != nil {
		return fmt.Errorf("give addresses to %s: %w", name, err)
	}
	before := node.DeepCopy()
	node.Status.Addresses = nil
	for _, a := range c.Machine(name).Addresses() {
		node.Status.Addresses = append(node.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a.String()})
	}
	node.Status.Addresses = append(node.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeHostName, Address: name})
	if err := c.Client().Status().Patch(ctx, &node, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("give addresses to %s: %w", name, err)
	}
	// kubelet and the node lifecycle controller write the same Node.
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		if err := c.Client().Get(ctx, client.ObjectKey{Name: name}, &node); err != nil {
			return err
		}
		before := node.DeepCopy()
		node.Spec.Taints = slices.DeleteFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Key == uninitialized })
		return c.Client().Patch(ctx, &node, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	})
	if err != nil {
		return fmt.Errorf("take the taint %s off %s: %w", uninitialized, name, err)
	}
	return nil
}
