package behaviour

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
)

// create creates an object, which is gone at the end of the test.
func (s *scene) create(t *testing.T, o client.Object) {
	t.Helper()
	if err := s.Client().Create(t.Context(), o); err != nil {
		t.Fatalf("create %T %s: %v", o, o.GetName(), err)
	}
	t.Cleanup(func() { s.remove(context.WithoutCancel(t.Context()), t, o) })
}

func (s *scene) remove(ctx context.Context, t *testing.T, o client.Object) {
	t.Helper()
	if err := client.IgnoreNotFound(s.Client().Delete(ctx, o)); err != nil {
		t.Errorf("delete %T %s: %v", o, o.GetName(), err)
	}
}

// change merges a patch into an object, which at the end of the test is as it was.
func (s *scene) change(t *testing.T, o client.Object, patch string) {
	t.Helper()
	if err := s.Client().Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
		t.Fatal(err)
	}
	was := o.DeepCopyObject().(client.Object)
	s.patch(t, o, patch)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		err := retry.RetryOnConflict(retry.DefaultBackoff, func() error { // the controller writes its status
			if err := s.Client().Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
				return err
			}
			was.SetResourceVersion(o.GetResourceVersion())
			return s.Client().Update(ctx, was)
		})
		if err != nil {
			t.Errorf("put %T %s back: %v", o, o.GetName(), err)
		}
	})
}

// patch is change without a way back.
func (s *scene) patch(t *testing.T, o client.Object, patch string) {
	t.Helper()
	if err := s.Client().Patch(t.Context(), o, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		t.Fatalf("patch %T %s: %v", o, o.GetName(), err)
	}
}

func pool(name string) *v1alpha1.IPPool {
	return &v1alpha1.IPPool{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func newPool(name, cidr string, blockSize int32, nodes ...string) *v1alpha1.IPPool {
	p := pool(name)
	p.Spec = v1alpha1.IPPoolSpec{CIDR: cidr, BlockSize: &blockSize, NodeSelector: only(nodes...)}
	return p
}

func peer(name string) *v1alpha1.BGPPeer {
	return &v1alpha1.BGPPeer{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func newPeer(name, address string, asn int64, nodes ...string) *v1alpha1.BGPPeer {
	p := peer(name)
	p.Spec = v1alpha1.BGPPeerSpec{Address: address, ASNumber: asn, NodeSelector: only(nodes...)}
	return p
}

func configuration(name string) *v1alpha1.BGPConfiguration {
	return &v1alpha1.BGPConfiguration{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func nodeState(name string) *v1alpha1.NodeState {
	return &v1alpha1.NodeState{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

// only selects nodes by name.
func only(nodes ...string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{
		Key: corev1.LabelHostname, Operator: metav1.LabelSelectorOpIn, Values: nodes,
	}}}
}

func conditionsOf(o client.Object) []metav1.Condition {
	switch o := o.(type) {
	case *v1alpha1.IPPool:
		return o.Status.Conditions
	case *v1alpha1.BGPPeer:
		return o.Status.Conditions
	case *v1alpha1.BGPConfiguration:
		return o.Status.Conditions
	case *v1alpha1.NodeState:
		return o.Status.Conditions
	}
	return nil
}

// holds waits until an object has a condition of this status and reason whose
// message has all the texts.
func (s *scene) holds(t *testing.T, o client.Object, kind string, status metav1.ConditionStatus, reason string, texts ...string) {
	t.Helper()
	name := strings.TrimPrefix(reflect.TypeOf(o).String(), "*v1alpha1.") + "/" + o.GetName()
	s.eventually(t, kind+" of "+name, func(ctx context.Context) error {
		if err := s.Client().Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
			return err
		}
		c := meta.FindStatusCondition(conditionsOf(o), kind)
		if c == nil {
			return fmt.Errorf("none")
		}
		said := fmt.Sprintf("%s=%s, %s: %s", kind, c.Status, c.Reason, c.Message)
		if c.Status != status || c.Reason != reason {
			return fmt.Errorf("%s, want %s with %s", said, status, reason)
		}
		for _, text := range texts {
			if !strings.Contains(c.Message, text) {
				return fmt.Errorf("%s, want it to say %q", said, text)
			}
		}
		return nil
	})
}

// says fails the test unless a text has all the others in it.
func (s *scene) says(t *testing.T, who, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%s says %q, want it to say %q", who, text, p)
		}
	}
}
