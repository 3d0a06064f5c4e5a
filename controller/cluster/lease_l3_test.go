package cluster

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
)

func TestLeasesDualStack(t *testing.T) {
	e := newEnv(t)
	e.create(newPool("four", "10.1.0.0/24", 26), newPool("six", "fd00:1::/120", 122))
	e.create(newNode("a", 0, nil, "192.0.2.1", "2001:db8::1"))
	e.start(quick())
	e.create(newNode("b", 0, nil))
	for _, node := range []string{"a", "b"} {
		for _, pool := range []string{"four", "six"} {
			b := e.leased(node, pool)
			n := &corev1.Node{}
			e.ok(e.Get(t.Context(), client.ObjectKey{Name: node}, n))
			if b.Spec.NodeUID != string(n.UID) || len(b.OwnerReferences) > 0 {
				t.Errorf("block of %s: %+v", node, b)
			}
		}
	}
	plan := &v1alpha1.AddressPlan{}
	e.ok(e.Get(t.Context(), client.ObjectKey{Name: v1alpha1.AddressPlanName}, plan))
	got := map[string]int32{}
	for _, entry := range plan.Spec.Entries {
		got[entry.PoolName+" "+entry.CIDR] = entry.BlockSize
	}
	if diff := cmp.Diff(map[string]int32{"four 10.1.0.0/24": 26, "six fd00:1::/120": 122}, got); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	pool := newPool("four", "", 0)
	e.eventually("status counts", func() string {
		e.ok(e.Get(t.Context(), client.ObjectKeyFromObject(pool), pool))
		if pool.Status.BlocksLeased != 2 || pool.Status.BlockCapacity != 4 {
			return fmt.Sprintf("%+v", pool.Status)
		}
		return ""
	})
}

// Two leaders at once, nodes and pools coming while they work.
func TestTwoLeaders(t *testing.T) {
	e := newEnv(t)
	const nodes = 200
	e.start(quick())
	e.start(quick())
	e.create(newPool("p", "10.0.0.0/16", 26))
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := worker; i < nodes; i += 4 {
				if err := e.Create(t.Context(), newNode(fmt.Sprintf("n%03d", i), 0, nil)); err != nil {
					t.Error(err)
				}
				if i == 100 {
					// Within p's range, in another carving, and beside it.
					if err := e.Create(t.Context(), newPool("q", "10.0.0.0/20", 28)); err != nil {
						t.Error(err)
					}
					if err := e.Create(t.Context(), newPool("r", "fd00::/112", 122)); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	e.eventually("blocks for all", func() string {
		if n := len(e.blocks()); n < 2*nodes {
			return fmt.Sprint(n, " blocks")
		}
		return ""
	})
	count := map[holder]int{}
	blocks := e.blocks()
	for _, b := range blocks {
		if b.Spec.PoolName == "q" {
			t.Errorf("pool q overlaps p, and leased %s", b.Spec.CIDR)
		}
		count[holder{b.Spec.PoolName, b.Spec.NodeName}]++
	}
	for at, n := range count {
		if n != 1 {
			t.Errorf("%+v has %d blocks", at, n)
		}
	}
	e.disjoint(blocks)
}

func TestOverlappingPools(t *testing.T) {
	e := newEnv(t)
	e.start(quick())
	first, second, third := newPool("z-first", "10.0.0.0/16", 26), newPool("a-second", "10.0.128.0/20", 28), newPool("other", "10.1.0.0/16", 26)
	e.create(first, newNode("n", 0, nil))
	block := e.leased("n", "z-first")
	e.create(second, third)
	e.leased("n", "other")

	message := has(e, second, ofPool, v1alpha1.ConditionReady, metav1.ConditionFalse, reasonOverlap)
	for _, want := range []string{"10.0.128.0/20", "10.0.0.0/16", "IPPool/z-first", "delete"} {
		if !strings.Contains(message, want) {
			t.Errorf("message %q does not say %q", message, want)
		}
	}
	has(e, second, ofPool, v1alpha1.ConditionOverlap, metav1.ConditionTrue, reasonOverlap)
	has(e, first, ofPool, v1alpha1.ConditionReady, metav1.ConditionTrue, "Active")
	if got := e.blocksOf("n", "a-second"); len(got) > 0 {
		t.Errorf("an overlapping pool leased %v", summary(got))
	}

	// Deleted, it still holds its range until its block is released.
	e.ok(e.Delete(t.Context(), first))
	e.becomes(block, v1alpha1.BlockDraining)
	has(e, second, ofPool, v1alpha1.ConditionOverlap, metav1.ConditionTrue, reasonOverlap)
	e.reports("n", v1alpha1.NodeStateStatus{ReleasedBlocks: []string{string(block.UID)}})
	e.leased("n", "a-second")
	has(e, second, ofPool, v1alpha1.ConditionOverlap, metav1.ConditionFalse, reasonNoOverlap)
}

func TestExhaustedPoolRecovers(t *testing.T) {
	e := newEnv(t)
	e.start(quick())
	pool := newPool("small", "10.2.0.0/25", 26)
	e.create(pool, newNode("n1", 0, nil), newNode("n2", 0, nil))
	e.leased("n1", "small")
	first := e.leased("n2", "small")
	has(e, pool, ofPool, v1alpha1.ConditionExhausted, metav1.ConditionFalse, reasonBlocksFree)

	late := newNode("n3", 0, nil)
	e.create(late)
	message := has(e, pool, ofPool, v1alpha1.ConditionExhausted, metav1.ConditionTrue, reasonNoFreeBlock)
	if !strings.Contains(message, "n3") || !strings.Contains(message, "another IPPool") {
		t.Errorf("message %q names no node or no way out", message)
	}
	e.told("n3", reasonNoFreeBlock, "IPPool/small")

	e.ok(e.Delete(t.Context(), newNode("n2", 0, nil)))
	e.becomes(first, "") // grace, cooling, deletion
	if b := e.leased("n3", "small"); b.Spec.CIDR != first.Spec.CIDR {
		t.Errorf("n3 has %s, want the block that came free, %s", b.Spec.CIDR, first.Spec.CIDR)
	}
	has(e, pool, ofPool, v1alpha1.ConditionExhausted, metav1.ConditionFalse, reasonBlocksFree)
}

func TestRestartedControllerConverges(t *testing.T) {
	e := newEnv(t)
	opts := quick()
	opts.LeaderElection = true
	opts.NodeGracePeriod = 500 * time.Millisecond
	stop := e.start(opts)
	e.create(newPool("p", "10.3.0.0/24", 26), newNode("n1", 0, nil), newNode("n2", 0, nil))
	gone, kept := e.leased("n1", "p"), e.leased("n2", "p")
	stop()

	// What happens while no controller runs.
	e.ok(e.Delete(t.Context(), newNode("n1", 0, nil)))
	e.create(newNode("n3", 0, nil))
	e.start(opts)
	e.leased("n3", "p")
	e.becomes(gone, "")
	if got := e.becomes(kept, v1alpha1.BlockLeased); got.ResourceVersion != kept.ResourceVersion {
		t.Error("a block that nothing happened to was written")
	}
	var nodes v1alpha1.BGPNodeList
	e.eventually("BGPNodes of the present nodes", func() string {
		e.ok(e.List(t.Context(), &nodes))
		var names []string
		for _, n := range nodes.Items {
			names = append(names, n.Name)
		}
		return cmp.Diff([]string{"n2", "n3"}, names)
	})
}
