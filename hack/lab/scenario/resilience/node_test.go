package resilience

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
)

// nodeRebooted has a node come back with an empty kernel and an empty tmpfs, with
// its Node as it was, and with one made anew. It keeps its blocks.
func (s *scene) nodeRebooted(t *testing.T) {
	const node = "n4"
	before := s.settled(t, false)
	for _, anew := range []bool{false, true} {
		t.Run(fmt.Sprintf("new Node %v", anew), func(t *testing.T) {
			traffic := s.start(t, nil, pair{s.a, s.c}, pair{s.b, s.c})
			if err := s.PowerOff(t.Context(), node); err != nil {
				t.Fatal(err)
			}
			if anew {
				if err := s.Client().Delete(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}}); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.PowerOn(t.Context(), node); err != nil {
				t.Fatal(err)
			}
			took := s.returns(t, before, false)
			t.Logf("same blocks and routes %v after the start of its agent", took.Round(10*time.Millisecond))
			s.d = s.addPod(t, node, "d")
			s.answeredAll(t, []pair{{s.a, s.d}, {s.d, s.c}})
			s.eventually(t, bound, "blocks belong to the Node that is there", func(ctx context.Context) error { return s.stamped(ctx, node) })
			traffic.stopWithoutLoss(t, "reboot of another node")
		})
	}
}

// stamped is nil if the node's blocks name its Node's UID.
func (s *scene) stamped(ctx context.Context, name string) error {
	var node corev1.Node
	if err := s.Client().Get(ctx, client.ObjectKey{Name: name}, &node); err != nil {
		return err
	}
	blocks, err := s.leasedTo(ctx, name)
	if err != nil {
		return err
	}
	for _, b := range blocks {
		if b.Spec.NodeUID != string(node.UID) || b.Spec.State != v1alpha1.BlockLeased {
			return fmt.Errorf("%s is %s by Node %s, which is %s now", b.Name, b.Spec.State, b.Spec.NodeUID, node.UID)
		}
	}
	return nil
}

// nodeGone takes a node away. Its blocks are nobody's after the grace time, and
// the next node's later. That is this lab's last scenario: the node is another.
func (s *scene) nodeGone(t *testing.T) {
	const node = "n4"
	s.settled(t, false)
	blocks := s.blocksOf(t, node)
	traffic := s.start(t, nil, pair{s.a, s.c}, pair{s.b, s.c})
	began := time.Now()
	if err := s.RemoveNode(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	s.always(t, nodeGrace/2, "blocks within the grace time", func(ctx context.Context) error {
		leased, err := s.leasedTo(ctx, node)
		if err == nil && (len(leased) != len(blocks) || leased[0].Spec.State != v1alpha1.BlockLeased) {
			err = fmt.Errorf("%+v", leased)
		}
		return err
	})
	s.eventually(t, bound, "Cooling", func(ctx context.Context) error {
		leased, err := s.leasedTo(ctx, node)
		if err == nil && slices.ContainsFunc(leased, func(b v1alpha1.IPBlock) bool { return b.Spec.State != v1alpha1.BlockCooling }) {
			err = fmt.Errorf("%+v", leased)
		}
		return err
	})
	t.Logf("taken back %v after the end", time.Since(began).Round(100*time.Millisecond))
	s.blocksGone(t, node)
	t.Logf("nobody's %v after the end", time.Since(began).Round(100*time.Millisecond))
	s.eventually(t, bound, "no router and no kernel has its routes", func(ctx context.Context) error {
		lines, err := s.state(ctx, false)
		for _, b := range blocks {
			if left := only(lines, b.String()); len(left) != 0 {
				return fmt.Errorf("%v", left)
			}
		}
		return err
	})
	if _, err := s.AddNode(t.Context(), "r2", "n5"); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitConverged(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, b := range s.blocksOf(t, "n5") {
		if !slices.Contains(blocks, b) {
			t.Errorf("n5 has %s, want one of those that are free again, %v", b, blocks)
		}
	}
	e := s.addPod(t, "n5", "e")
	s.answeredAll(t, []pair{{s.a, e}, {e, s.c}})
	traffic.stopWithoutLoss(t, "a node gone, another come")
}
