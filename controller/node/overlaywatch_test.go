package node_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/controller/node"
	"fairlead.dev/controller/plan"
)

// A node in no mesh watches the others exactly while a pool is encapsulated.
func TestOthersAreWatchedForAnOverlay(t *testing.T) {
	w := newWorld(t, "overlay1")
	w.create(t, w.bgpNode("overlay1", false))
	other := w.bgpNode("overlay2", false)
	other.Spec.VTEP = &v1alpha1.VTEP{VNI: 4096, Port: 4789}
	w.create(t, other)
	w.create(t, block("10.244.0.64/26", "overlay2"))
	pool := &v1alpha1.IPPool{
		ObjectMeta: metav1.ObjectMeta{Name: "overlay"},
		Spec:       v1alpha1.IPPoolSpec{CIDR: "10.244.0.0/16", Encapsulation: v1alpha1.EncapsulationNone},
	}
	w.create(t, pool)
	a, stop := w.start(t)
	defer stop()
	if in := w.until(t, a, "the first Intent", fromAPI); len(in.Mesh) != 0 || len(in.MeshBlocks) != 0 {
		t.Fatalf("watches the others for nothing: %+v", in)
	}
	change := func(e v1alpha1.Encapsulation) {
		t.Helper()
		pool.Spec.Encapsulation = e
		if err := w.admin.Update(t.Context(), pool); err != nil {
			t.Fatal(err)
		}
	}
	change(v1alpha1.EncapsulationVXLANCrossSubnet)
	in := w.until(t, a, "the others", func(in plan.Intent, _ node.Source) bool { return len(in.MeshBlocks) == 1 })
	vteps := 0
	for _, n := range in.Mesh {
		if n.Spec.VTEP != nil {
			vteps++
		}
	}
	if vteps != 1 {
		t.Errorf("%d VTEPs in %+v", vteps, in.Mesh)
	}
	change(v1alpha1.EncapsulationNone)
	w.until(t, a, "none of the others", func(in plan.Intent, _ node.Source) bool { return len(in.Mesh) == 0 && len(in.MeshBlocks) == 0 })
}
