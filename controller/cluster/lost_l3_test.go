package cluster

import (
	"testing"

	"fairlead.dev/api/v1alpha1"
)

// IPBlocks that somebody deleted, or that an older copy of the API server's data has
// not, come back as they were, whatever order leasing has: pods have their addresses.
func TestLostIPBlocks(t *testing.T) {
	e := newEnv(t)
	stop := e.start(quick())
	e.create(newPool("p", "10.14.0.0/24", 26), newNode("z", 0, nil))
	of := map[string]string{"z": e.leased("z", "p").Spec.CIDR}
	e.create(newNode("a", 0, nil))
	of["a"] = e.leased("a", "p").Spec.CIDR
	stop()
	for _, b := range e.blocks() {
		n := b.Spec.NodeName
		e.reports(n, v1alpha1.NodeStateStatus{NodeUID: b.Spec.NodeUID, Blocks: []v1alpha1.BlockStatus{{CIDR: b.Spec.CIDR, UID: string(b.UID), Capacity: 64, Used: 1, Closed: true}}})
		e.ok(e.Delete(t.Context(), &b))
	}
	e.start(quick())
	for node, cidr := range of {
		if b := e.leased(node, "p"); b.Spec.CIDR != cidr {
			t.Errorf("node %s has %s, pods of it have addresses of %s", node, b.Spec.CIDR, cidr)
		}
	}
}
