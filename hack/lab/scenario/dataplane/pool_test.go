package dataplane

import (
	"context"
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
)

// patch changes an object as its owner would.
func (s *scene) patch(t *testing.T, o client.Object, patch string) {
	t.Helper()
	// Also at the test's end, when its context is done.
	ctx := context.WithoutCancel(t.Context())
	if err := s.Client().Patch(ctx, o, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		t.Fatal(err)
	}
}

// patchPools changes the pools of both families.
func (s *scene) patchPools(t *testing.T, patch string) {
	t.Helper()
	for _, f := range families() {
		p := &v1alpha1.IPPool{}
		p.Name = poolOf(f)
		s.patch(t, p, patch)
	}
}

// encapsulate sets the pools' encapsulation and waits until every kernel sends as
// it says.
func (s *scene) encapsulate(t *testing.T, e v1alpha1.Encapsulation) {
	t.Helper()
	s.setEncapsulation(t, e)
	s.eventually(t, "encapsulation "+string(e), func(ctx context.Context) error { return s.encapsulated(ctx, e) })
}

func (s *scene) setEncapsulation(t *testing.T, e v1alpha1.Encapsulation) {
	t.Helper()
	s.patchPools(t, fmt.Sprintf(`{"spec":{"encapsulation":%q}}`, e))
}

// encapsulatedMeanwhile is encapsulate until the end of the test.
func (s *scene) encapsulatedMeanwhile(t *testing.T, e v1alpha1.Encapsulation) {
	t.Helper()
	t.Cleanup(func() { s.setEncapsulation(t, v1alpha1.EncapsulationNone) })
	s.encapsulate(t, e)
}

// setNATOutgoing is for both pools.
func (s *scene) setNATOutgoing(t *testing.T, on bool) {
	t.Helper()
	s.patchPools(t, fmt.Sprintf(`{"spec":{"natOutgoing":%v}}`, on))
}
