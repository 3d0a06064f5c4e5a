package dataplane

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/hack/lab/topology"
)

// leavingPool has lower addresses than the others: pods get them first.
const leavingPool = "10.98.0.0/24"

// poolDrains is about pods of a pool that is being given up: they are translated,
// and not on the way to each other, as long as they are there.
func (s *scene) poolDrains(t *testing.T) {
	const node = "n2"
	pool := &v1alpha1.IPPool{ObjectMeta: metav1.ObjectMeta{Name: "leaving"}}
	pool.Spec = v1alpha1.IPPoolSpec{
		CIDR: leavingPool, BlockSize: new(int32(28)), NATOutgoing: true,
		NodeSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelHostname: node}},
	}
	if err := s.Client().Create(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Client().Delete(context.WithoutCancel(t.Context()), pool); err != nil {
			t.Error(err)
		}
	})
	block := s.blockFrom(t, pool.Name, node, v1alpha1.BlockLeased)
	s.eventually(t, "its route on "+node, func(ctx context.Context) error {
		routes, err := s.KernelRoutes(ctx, node, topology.V4)
		if err != nil {
			return err
		}
		for _, r := range routes {
			if r.Prefix == block {
				return nil
			}
		}
		return fmt.Errorf("no route to %s", block)
	})
	pod := s.addPod(t, node, "leaver")
	const f = topology.V4
	if !block.Contains(pod.Address(f)) {
		t.Fatalf("the pod has %s, want one of %s", pod.Address(f), block)
	}
	outside := s.Topology().OutsideAddress(f)
	s.comesFrom(t, pod, topology.RoleOutside, outside, s.Node(node).Address(f))
	s.patch(t, pool, `{"spec":{"state":"Draining"}}`)
	s.blockFrom(t, pool.Name, node, v1alpha1.BlockDraining)
	s.comesFrom(t, pod, topology.RoleOutside, outside, s.Node(node).Address(f))
	s.comesFrom(t, pod, s.c.Role(), s.c.Address(f), pod.Address(f))
	t.Cleanup(func() { s.setNATOutgoing(t, false) })
	s.setNATOutgoing(t, true)
	s.comesFrom(t, s.a, topology.RoleOutside, outside, s.Node("n1").Address(f))
	s.comesFrom(t, s.a, pod.Role(), pod.Address(f), s.a.Address(f))
}

// blockFrom waits until a node has a block of a pool in a state.
func (s *scene) blockFrom(t *testing.T, pool, node string, state v1alpha1.BlockState) netip.Prefix {
	t.Helper()
	var block netip.Prefix
	s.eventually(t, fmt.Sprintf("%s block of %s on %s", state, pool, node), func(ctx context.Context) error {
		var list v1alpha1.IPBlockList
		if err := s.Client().List(ctx, &list); err != nil {
			return err
		}
		for _, b := range list.Items {
			if b.Spec.PoolName == pool && b.Spec.NodeName == node && b.Spec.State == state {
				var err error
				block, err = netip.ParsePrefix(b.Spec.CIDR)
				return err
			}
		}
		return fmt.Errorf("no such block among %d", len(list.Items))
	})
	return block
}
