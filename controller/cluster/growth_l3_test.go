package cluster

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
)

// needs plays an agent that needs so many blocks of the pool, and has closed these.
func (e env) needs(node, pool string, count int64, closed ...v1alpha1.IPBlock) {
	e.Helper()
	n, p := &corev1.Node{}, &v1alpha1.IPPool{}
	e.ok(e.Get(e.Context(), client.ObjectKey{Name: node}, n))
	e.ok(e.Get(e.Context(), client.ObjectKey{Name: pool}, p))
	status := v1alpha1.NodeStateStatus{
		NodeUID:      string(n.UID),
		WantedBlocks: []v1alpha1.WantedBlocks{{Pool: pool, PoolUID: string(p.UID), Count: count}},
	}
	for _, b := range closed {
		status.Blocks = append(status.Blocks, v1alpha1.BlockStatus{CIDR: b.Spec.CIDR, UID: string(b.UID), Closed: true})
	}
	e.reports(node, status)
}

// holds waits until the node has exactly so many Leased blocks of the pool.
func (e env) holds(node, pool string, count int) []v1alpha1.IPBlock {
	e.Helper()
	var out []v1alpha1.IPBlock
	e.eventually(fmt.Sprintf("%d blocks of %s for %s", count, pool, node), func() string {
		out = slices.DeleteFunc(e.blocksOf(node, pool), func(b v1alpha1.IPBlock) bool { return b.Spec.State != v1alpha1.BlockLeased })
		if len(out) != count {
			return fmt.Sprint("blocks: ", summary(e.blocks()))
		}
		return ""
	})
	return out
}

// passes returns when the controller has looked at all that was there before: it
// leased a block to a node that came after it.
func (e env) passes(pool string, nodes *int) {
	e.Helper()
	*nodes++
	late := fmt.Sprintf("late%d", *nodes)
	e.create(newNode(late, 0, nil))
	e.leased(late, pool)
}

// A node grows as far as it asks, and no further than it may.
func TestNodeGrows(t *testing.T) {
	e := newEnv(t)
	pool := newPool("p", "10.20.0.0/22", 26)
	pool.Spec.MaxBlocksPerNode = new(int32(3))
	e.start(quick())
	e.create(pool, newNode("n", 0, nil), newNode("m", 0, nil))
	e.leased("n", "p")
	e.leased("m", "p")
	late := 0

	e.needs("n", "p", 2)
	e.holds("n", "p", 2)
	e.passes("p", &late)
	e.holds("n", "p", 2)
	e.holds("m", "p", 1)
	has(e, pool, ofPool, v1alpha1.ConditionLimited, metav1.ConditionFalse, reasonBelowMaximum)

	e.needs("n", "p", 40)
	e.holds("n", "p", 3)
	message := has(e, pool, ofPool, v1alpha1.ConditionLimited, metav1.ConditionTrue, reasonMaximumReached)
	for _, want := range []string{"1 nodes", "maxBlocksPerNode, 3,", ": n.", "another IPPool"} {
		if !strings.Contains(message, want) {
			t.Errorf("message %q does not say %q", message, want)
		}
	}
	e.told("n", reasonMaximumReached, "IPPool/p", "all 3 blocks", "maxBlocksPerNode")
	e.passes("p", &late)
	e.holds("n", "p", 3)
	e.disjoint(e.blocks())

	// The way out.
	edit(e, pool, func(p *v1alpha1.IPPool) { p.Spec.MaxBlocksPerNode = new(int32(4)) })
	e.holds("n", "p", 4)
	e.needs("n", "p", 4)
	has(e, pool, ofPool, v1alpha1.ConditionLimited, metav1.ConditionFalse, reasonBelowMaximum)
	// Lowered, it takes nothing away.
	edit(e, pool, func(p *v1alpha1.IPPool) { p.Spec.MaxBlocksPerNode = new(int32(1)) })
	e.passes("p", &late)
	e.holds("n", "p", 4)
}

// What is said about an earlier Node or pool, or of a pool that leases nothing,
// is nobody's need.
func TestGrowthIsRefused(t *testing.T) {
	e := newEnv(t)
	e.start(quick())
	pool, open := newPool("p", "10.21.0.0/22", 26), newPool("open", "10.21.4.0/22", 26)
	e.create(pool, open, newNode("n", 0, nil))
	e.leased("n", "p")
	e.leased("n", "open")
	late := 0
	for _, wanted := range []struct{ nodeUID, poolUID string }{{"", string(pool.UID)}, {"another", string(pool.UID)}, {"", "another"}} {
		n := &corev1.Node{}
		e.ok(e.Get(t.Context(), client.ObjectKey{Name: "n"}, n))
		if wanted.poolUID == "another" {
			wanted.nodeUID = string(n.UID)
		}
		e.reports("n", v1alpha1.NodeStateStatus{
			NodeUID: wanted.nodeUID, WantedBlocks: []v1alpha1.WantedBlocks{{Pool: "p", PoolUID: wanted.poolUID, Count: 3}},
		})
		e.passes("p", &late)
		e.holds("n", "p", 1)
	}
	edit(e, pool, func(p *v1alpha1.IPPool) { p.Spec.State = v1alpha1.PoolDisabled })
	has(e, pool, ofPool, v1alpha1.ConditionReady, metav1.ConditionTrue, "Disabled")
	e.needs("n", "p", 3)
	e.passes("open", &late)
	e.holds("n", "p", 1)
	edit(e, pool, func(p *v1alpha1.IPPool) { p.Spec.State = v1alpha1.PoolActive })
	e.holds("n", "p", 3)
}

// The pool's end is told, and comes after the first blocks of all nodes.
func TestGrowthAtThePoolsEnd(t *testing.T) {
	e := newEnv(t)
	pool := newPool("small", "10.22.0.0/24", 26)
	stop := e.start(quick())
	e.create(pool, newNode("a", 0, nil), newNode("b", 0, nil))
	e.leased("a", "small")
	e.leased("b", "small")
	stop()
	e.needs("a", "small", 4)
	e.create(newNode("z", 0, nil))
	e.start(quick())
	e.leased("z", "small")
	e.holds("a", "small", 2)
	message := has(e, pool, ofPool, v1alpha1.ConditionExhausted, metav1.ConditionTrue, reasonNoFreeBlock)
	if !strings.Contains(message, "wait for one: a.") || !strings.Contains(message, "another IPPool") {
		t.Errorf("message %q names no node or no way out", message)
	}
	e.told("a", reasonNoFreeBlock, "IPPool/small", "another IPPool")
	e.needs("a", "small", 2)
	has(e, pool, ofPool, v1alpha1.ConditionExhausted, metav1.ConditionFalse, reasonBlocksFree)
}

// Two leaders at once, and one that starts in the middle: every node gets what it
// asks for, and nobody more.
func TestTwoLeadersGrow(t *testing.T) {
	e := newEnv(t)
	const nodes = 60
	pool := newPool("p", "10.23.0.0/16", 26)
	e.create(pool)
	for i := range nodes {
		e.create(newNode(fmt.Sprintf("n%02d", i), 0, nil))
	}
	first := e.start(quick())
	e.start(quick())
	for i := range nodes {
		e.leased(fmt.Sprintf("n%02d", i), "p")
	}
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := worker; i < nodes; i += 4 {
				for step := 2; step <= 1+i%4; step++ {
					e.needs(fmt.Sprintf("n%02d", i), "p", int64(step))
				}
			}
		})
	}
	wg.Wait()
	first()
	e.start(quick())
	for i := range nodes {
		e.holds(fmt.Sprintf("n%02d", i), "p", 1+i%4)
	}
	late := 0
	e.passes("p", &late)
	for i := range nodes {
		e.holds(fmt.Sprintf("n%02d", i), "p", 1+i%4)
	}
	e.disjoint(e.blocks())
}

// A block that its node has closed goes the way of every other.
func TestBlockGivenBack(t *testing.T) {
	e := newEnv(t)
	opts := quick()
	opts.CoolingPeriod = 2 * time.Second
	e.start(opts)
	e.create(newPool("p", "10.24.0.0/23", 26), newNode("n", 0, nil))
	e.leased("n", "p")
	e.needs("n", "p", 3)
	blocks := e.holds("n", "p", 3)
	late := 0

	e.needs("n", "p", 2) // closed none yet
	e.passes("p", &late)
	e.holds("n", "p", 3)
	e.needs("n", "p", 2, blocks[1], blocks[2]) // more than it says
	e.holds("n", "p", 2)
	back := e.becomes(blocks[1], v1alpha1.BlockDraining)
	e.passes("p", &late)
	e.holds("n", "p", 2)
	e.reports("n", v1alpha1.NodeStateStatus{ReleasedBlocks: []string{string(back.UID)}})
	e.becomes(blocks[1], v1alpha1.BlockCooling)
	e.becomes(blocks[1], "")
	e.holds("n", "p", 2)
}

// The blocks and the range of a pool that is not advertised say so, for agents
// that meet them after their pool.
func TestPoolThatIsNotAdvertised(t *testing.T) {
	e := newEnv(t)
	no := false
	pool := newPool("lan", "10.25.0.0/24", 28)
	pool.Spec.Advertise = &no
	e.start(quick())
	e.create(pool, newPool("p", "10.26.0.0/24", 26), newNode("n", 0, nil))
	if b := e.leased("n", "lan"); !b.Spec.IPAMOnly {
		t.Errorf("block: %+v", b.Spec)
	}
	if b := e.leased("n", "p"); b.Spec.IPAMOnly {
		t.Errorf("block: %+v", b.Spec)
	}
	plan := &v1alpha1.AddressPlan{}
	e.ok(e.Get(t.Context(), client.ObjectKey{Name: v1alpha1.AddressPlanName}, plan))
	for _, entry := range plan.Spec.Entries {
		if entry.IPAMOnly != (entry.PoolName == "lan") {
			t.Errorf("entry: %+v", entry)
		}
	}
	if len(plan.Spec.Entries) != 2 {
		t.Errorf("entries: %+v", plan.Spec.Entries)
	}
}

// A leader whose cache is behind, and two whose caches differ, give no more than
// asked for.
func TestGrowthBehindTheCache(t *testing.T) {
	e := newEnv(t)
	pool, node := newPool("p", "10.27.0.0/24", 26), newNode("n", 0, nil)
	e.create(pool, node)
	var made []v1alpha1.IPBlock
	for _, cidr := range []string{"10.27.0.0/26", "10.27.0.64/26"} {
		b := block(cidr, "p", "n", v1alpha1.BlockLeased)
		b.ObjectMeta = metav1.ObjectMeta{Name: b.Name}
		b.Spec.PoolUID = string(pool.UID)
		e.create(&b)
		made = append(made, b)
	}
	l := &leaser{client: e.Client, live: e.Client, metrics: newMetrics(), log: slog.New(slog.DiscardHandler)}
	p := readPool(pool)
	p.waiting = []waiter{{node, 1, 2}}
	if run := l.leasePool(t.Context(), p, made[:1]); run.err != nil || len(run.learnt) != 1 || run.learnt[0].UID != made[1].UID {
		t.Errorf("%v, learnt %v, want the block that the cache lacked", run.err, summary(run.learnt))
	}
	e.holds("n", "p", 2)
	if run := l.leasePool(t.Context(), p, made); run.err != nil || len(run.learnt) > 0 {
		t.Errorf("%v, learnt %v, want nothing", run.err, summary(run.learnt))
	}

	// As if each of two leaders had created one at the same time.
	e.ok(l.trim(t.Context(), p, waiter{node, 1, 1}))
	e.holds("n", "p", 1)
	e.becomes(made[0], v1alpha1.BlockLeased)
	e.becomes(made[1], v1alpha1.BlockDraining)
}
