package cluster

import (
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
)

func TestNodeGoneForGood(t *testing.T) {
	e := newEnv(t)
	opts := quick()
	opts.NodeGracePeriod, opts.CoolingPeriod = 2*time.Second, 2*time.Second
	e.start(opts)
	e.create(newPool("p", "10.4.0.0/24", 26), newNode("n1", 0, nil), newNode("n2", 0, nil))
	block := e.leased("n1", "p")
	e.leased("n2", "p")
	e.reports("n1", v1alpha1.NodeStateStatus{})
	e.eventually("BGPNode", func() string { return errText(e.Get(t.Context(), client.ObjectKey{Name: "n1"}, &v1alpha1.BGPNode{})) })

	left := time.Now()
	e.ok(e.Delete(t.Context(), newNode("n1", 0, nil)))
	cooling := e.becomes(block, v1alpha1.BlockCooling)
	if took := time.Since(left); took < opts.NodeGracePeriod {
		t.Errorf("taken back after %s, grace is %s", took, opts.NodeGracePeriod)
	}
	if until := cooling.Spec.CoolingUntil; until == nil || until.Before(&metav1.Time{Time: left.Add(opts.NodeGracePeriod + opts.CoolingPeriod).Truncate(time.Second)}) {
		t.Errorf("cooling until %s, too early", until)
	}
	// A node of that name gets another block, not the cooling one.
	e.create(newNode("n1", 0, nil))
	if b := e.leased("n1", "p"); b.Spec.CIDR == block.Spec.CIDR {
		t.Errorf("the cooling block %s was leased again", b.Spec.CIDR)
	}
	e.becomes(block, "")
	e.create(newNode("n9", 0, nil))
	if b := e.leased("n9", "p"); b.Spec.CIDR != block.Spec.CIDR {
		t.Errorf("n9 has %s, want the lowest free block %s", b.Spec.CIDR, block.Spec.CIDR)
	}

	e.ok(e.Delete(t.Context(), newNode("n1", 0, nil)))
	for _, o := range []client.Object{&v1alpha1.BGPNode{}, &v1alpha1.NodeState{}} {
		e.eventually("leftovers of n1 go", func() string {
			if err := e.Get(t.Context(), client.ObjectKey{Name: "n1"}, o); !apierrors.IsNotFound(err) {
				return "still there"
			}
			return ""
		})
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestNodeComesBack(t *testing.T) {
	e := newEnv(t)
	opts := quick()
	opts.NodeGracePeriod = time.Hour
	e.start(opts)
	e.create(newPool("p", "10.5.0.0/24", 26), newNode("n", 0, nil))
	before := e.leased("n", "p")
	e.ok(e.Delete(t.Context(), newNode("n", 0, nil)))
	again := newNode("n", 0, nil)
	e.create(again)
	e.eventually("block and BGPNode are stamped with the new UID", func() string {
		b, n := e.becomes(before, v1alpha1.BlockLeased), &v1alpha1.BGPNode{}
		e.ok(e.Get(t.Context(), client.ObjectKey{Name: "n"}, n))
		if b.Spec.NodeUID != string(again.UID) || n.Spec.NodeUID != string(again.UID) {
			return b.Spec.NodeUID + " " + n.Spec.NodeUID
		}
		return ""
	})
	if got := e.blocksOf("n", "p"); len(got) != 1 {
		t.Errorf("blocks %v, want the one it had", summary(got))
	}
}

func TestPoolDrains(t *testing.T) {
	e := newEnv(t)
	e.start(quick())
	pool := newPool("p", "10.6.0.0/24", 26)
	e.create(pool, newNode("n1", 0, nil), newNode("n2", 0, nil))
	one, two := e.leased("n1", "p"), e.leased("n2", "p")
	edit(e, pool, func(p *v1alpha1.IPPool) { p.Spec.State = v1alpha1.PoolDraining })
	e.becomes(one, v1alpha1.BlockDraining)
	e.becomes(two, v1alpha1.BlockDraining)
	has(e, pool, ofPool, v1alpha1.ConditionReady, metav1.ConditionTrue, "Draining")

	// n2's agent says that n1's block is released: it is not n2's to say.
	e.reports("n2", v1alpha1.NodeStateStatus{ReleasedBlocks: []string{string(one.UID), string(two.UID)}})
	e.becomes(two, "")
	if b := e.becomes(one, v1alpha1.BlockDraining); b.UID != one.UID {
		t.Error("another node's word released a block")
	}
	e.reports("n1", v1alpha1.NodeStateStatus{ReleasedBlocks: []string{string(one.UID)}})
	e.becomes(one, "")
	if got := e.blocks(); len(got) > 0 {
		t.Errorf("a draining pool leased %v", summary(got))
	}

	edit(e, pool, func(p *v1alpha1.IPPool) { p.Spec.State = v1alpha1.PoolActive })
	e.leased("n1", "p")
}

// A pool that is set back leases new blocks, and the Draining ones end.
func TestPoolSetBackToActive(t *testing.T) {
	e := newEnv(t)
	e.start(quick())
	pool := newPool("p", "10.6.0.0/24", 26)
	e.create(pool, newNode("n", 0, nil))
	old := e.leased("n", "p")
	edit(e, pool, func(p *v1alpha1.IPPool) { p.Spec.State = v1alpha1.PoolDraining })
	e.becomes(old, v1alpha1.BlockDraining)
	edit(e, pool, func(p *v1alpha1.IPPool) { p.Spec.State = v1alpha1.PoolActive })
	if b := e.leased("n", "p"); b.UID == old.UID {
		t.Error("a Draining block was leased again")
	}
	e.reports("n", v1alpha1.NodeStateStatus{ReleasedBlocks: []string{string(old.UID)}})
	e.becomes(old, "")
}

func TestDisabledPoolKeepsItsBlocks(t *testing.T) {
	e := newEnv(t)
	e.start(quick())
	pool, other := newPool("p", "10.7.0.0/24", 26), newPool("q", "10.8.0.0/24", 26)
	e.create(pool, other, newNode("n1", 0, nil))
	block := e.leased("n1", "p")
	edit(e, pool, func(p *v1alpha1.IPPool) { p.Spec.State = v1alpha1.PoolDisabled })
	has(e, pool, ofPool, v1alpha1.ConditionReady, metav1.ConditionTrue, "Disabled")
	e.create(newNode("n2", 0, nil))
	e.leased("n2", "q")
	if got := e.blocksOf("n2", "p"); len(got) > 0 {
		t.Errorf("a disabled pool leased %v", summary(got))
	}
	e.becomes(block, v1alpha1.BlockLeased)
}

func TestPoolDeletedWhileBlocksLive(t *testing.T) {
	e := newEnv(t)
	e.start(quick())
	first := newPool("p", "10.9.0.0/24", 26)
	e.create(first, newNode("n", 0, nil))
	block := e.leased("n", "p")
	e.ok(e.Delete(t.Context(), first))
	e.becomes(block, v1alpha1.BlockDraining)

	second := newPool("p", "10.9.0.0/24", 28)
	e.create(second)
	has(e, second, ofPool, v1alpha1.ConditionReady, metav1.ConditionFalse, reasonOverlap)
	plan := &v1alpha1.AddressPlan{}
	e.ok(e.Get(t.Context(), client.ObjectKey{Name: v1alpha1.AddressPlanName}, plan))
	if len(plan.Spec.Entries) != 1 || plan.Spec.Entries[0].PoolUID != string(first.UID) {
		t.Fatalf("entries %+v, want the deleted pool's alone", plan.Spec.Entries)
	}
	e.reports("n", v1alpha1.NodeStateStatus{ReleasedBlocks: []string{string(block.UID)}})
	e.eventually("the new pool leases", func() string {
		for _, b := range e.blocksOf("n", "p") {
			if b.Spec.PoolUID == string(second.UID) {
				return ""
			}
		}
		e.disjoint(e.blocks())
		return "not yet"
	})
	has(e, second, ofPool, v1alpha1.ConditionReady, metav1.ConditionTrue, "Active")
}

// A node that no longer matches keeps its block.
func TestSelectorMovesOn(t *testing.T) {
	e := newEnv(t)
	e.start(quick())
	pool, bad := newPool("p", "10.10.0.0/24", 26), newPool("bad", "10.11.0.0/24", 26)
	pool.Spec.NodeSelector, bad.Spec.NodeSelector = byLabel("rack", "r1"), wrong()
	node := newNode("n1", 0, rack("r1"))
	e.create(pool, bad, node, newNode("n2", 0, rack("r2")))
	block := e.leased("n1", "p")
	has(e, bad, ofPool, v1alpha1.ConditionReady, metav1.ConditionFalse, reasonInvalidSelector)
	edit(e, pool, func(p *v1alpha1.IPPool) { p.Spec.NodeSelector = byLabel("rack", "r2") })
	e.leased("n2", "p")
	e.becomes(block, v1alpha1.BlockLeased)
}
