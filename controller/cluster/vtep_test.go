package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/api/v1alpha1"
)

func TestVTEPs(t *testing.T) {
	reports := func(name, uid string, vtep *v1alpha1.VTEP) v1alpha1.NodeState {
		return v1alpha1.NodeState{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: v1alpha1.NodeStateStatus{NodeUID: uid, VTEP: vtep}}
	}
	up := &v1alpha1.VTEP{VNI: 4096, Port: 4789}
	gone := holds("gone", "192.0.2.9", "192.0.2.9")
	gone.Spec.VTEP = up
	s := &State{
		Nodes: []corev1.Node{
			*newNode("down", 0, nil, "192.0.2.1"), *newNode("replaced", 0, nil, "192.0.2.2"),
			*newNode("silent", 0, nil, "192.0.2.3"), *newNode("up", 0, nil, "192.0.2.4"),
		},
		BGPNodes: []v1alpha1.BGPNode{gone},
		NodeStates: []v1alpha1.NodeState{
			reports("down", "uid-down", nil), reports("replaced", "uid-of-another", up), reports("up", "uid-up", up),
		},
	}
	want, _ := decideBGPNodes(s)
	got := map[string]*v1alpha1.VTEP{}
	for _, n := range want {
		got[n.Name] = n.Spec.VTEP
	}
	if diff := cmp.Diff(map[string]*v1alpha1.VTEP{"down": nil, "gone": up, "replaced": nil, "silent": nil, "up": up}, got); diff != "" {
		t.Errorf("VTEPs (-want +got):\n%s", diff)
	}
	other := want[4]
	other.Spec.VTEP = &v1alpha1.VTEP{VNI: 4096, Port: 8472}
	if same := want[4]; !sameBGPNode(&same, &want[4]) || sameBGPNode(&other, &want[4]) {
		t.Error("a changed VTEP is not told from the same")
	}
}
