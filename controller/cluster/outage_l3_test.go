package cluster

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/hack/lab/kube/kubetest"
)

// An API server that is away for longer than every grace time releases nothing.
func TestOutageReleasesNothing(t *testing.T) {
	e := newEnv(t)
	opts := quick()
	opts.NodeGracePeriod, opts.CoolingPeriod = 100*time.Millisecond, 100*time.Millisecond
	e.start(opts)
	e.create(newPool("p", "10.12.0.0/24", 26), newNode("n1", 0, nil), newNode("n2", 0, nil))
	before := []v1alpha1.IPBlock{e.leased("n1", "p"), e.leased("n2", "p")}

	plane := kubetest.Shared(t)
	e.ok(plane.StopAPIServer())
	e.ok(plane.StartAPIServer(t.Context()))
	e.create(newNode("n3", 0, nil))
	e.leased("n3", "p") // by then the controller has looked at everything again
	for _, b := range before {
		if now := e.becomes(b, v1alpha1.BlockLeased); now.ResourceVersion != b.ResourceVersion {
			t.Errorf("block %s was written: %+v", b.Spec.CIDR, now.Spec)
		}
	}
}

// An AddressPlan that somebody deleted is written again, and who lives in a
// range keeps it from an older pool that waits for it.
func TestLostAddressPlan(t *testing.T) {
	e := newEnv(t)
	stop := e.start(quick())
	holder, rival := newPool("z-holder", "10.13.0.0/24", 26), newPool("a-rival", "10.13.0.0/16", 26)
	e.create(holder, newNode("n", 0, nil))
	block := e.leased("n", "z-holder")
	stop()
	e.create(rival)
	e.ok(e.Delete(t.Context(), &v1alpha1.AddressPlan{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.AddressPlanName}}))
	e.start(quick())
	has(e, rival, ofPool, v1alpha1.ConditionOverlap, metav1.ConditionTrue, reasonOverlap)
	has(e, holder, ofPool, v1alpha1.ConditionReady, metav1.ConditionTrue, "Active")
	plan := &v1alpha1.AddressPlan{}
	e.ok(e.Get(t.Context(), client.ObjectKey{Name: v1alpha1.AddressPlanName}, plan))
	if len(plan.Spec.Entries) != 1 || plan.Spec.Entries[0].PoolUID != string(holder.UID) {
		t.Errorf("entries %+v, want the holder's", plan.Spec.Entries)
	}
	if now := e.becomes(block, v1alpha1.BlockLeased); now.ResourceVersion != block.ResourceVersion {
		t.Errorf("the block was written: %+v", now.Spec)
	}
}
