package speaker_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// diff fails the test if got is not want.
func diff(t *testing.T, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}
