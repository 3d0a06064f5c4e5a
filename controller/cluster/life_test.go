package cluster

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/api/v1alpha1"
)

// lives renders transitions, one a line.
func lives(all []transition) (out []string) {
	for _, t := range all {
		to := "deleted"
		if t.next != nil {
			to = fmt.Sprintf("%s %s", t.next.State, t.next.NodeUID)
			if t.next.CoolingUntil != nil {
				to += " until " + t.next.CoolingUntil.UTC().Format(time.TimeOnly)
			}
		}
		out = append(out, fmt.Sprintf("%s: %s (%s)", t.block.Spec.CIDR, to, t.cause))
	}
	slices.Sort(out)
	return out
}

func cooling(b v1alpha1.IPBlock, until time.Time) v1alpha1.IPBlock {
	b.Spec.State, b.Spec.CoolingUntil = v1alpha1.BlockCooling, &metav1.Time{Time: until}
	return b
}

func released(node string, uids ...string) v1alpha1.NodeState {
	return v1alpha1.NodeState{ObjectMeta: age(node, 0), Status: v1alpha1.NodeStateStatus{ReleasedBlocks: uids}}
}

// needing is a report of the node that it needs so many blocks of pool p, and has
// closed these.
func needing(node string, count int64, closed ...string) v1alpha1.NodeState {
	st := v1alpha1.NodeStateStatus{NodeUID: "uid-" + node, WantedBlocks: []v1alpha1.WantedBlocks{{Pool: "p", PoolUID: "uid-p", Count: count}}}
	for _, uid := range closed {
		st.Blocks = append(st.Blocks, v1alpha1.BlockStatus{UID: uid, Closed: true})
	}
	return v1alpha1.NodeState{ObjectMeta: age(node, 0), Status: st}
}

func TestDecideLife(t *testing.T) {
	const a, b = "10.0.0.0/26", "10.0.0.64/26"
	leased, draining := v1alpha1.BlockLeased, v1alpha1.BlockDraining
	active, drains, disabled := newPool("p", "10.0.0.0/24", 26), newPool("p", "10.0.0.0/24", 26), newPool("p", "10.0.0.0/24", 26)
	drains.Spec.State, disabled.Spec.State = v1alpha1.PoolDraining, v1alpha1.PoolDisabled
	younger := block(b, "p", "n", leased)
	younger.CreationTimestamp = metav1.NewTime(born.Add(time.Second))
	back := *newNode("n", 0, nil)
	back.UID = "uid-again"
	n := []corev1.Node{*newNode("n", 0, nil)}

	for _, c := range []struct {
		name  string
		pool  *v1alpha1.IPPool
		nodes []corev1.Node
		state []v1alpha1.NodeState
		block []v1alpha1.IPBlock
		gone  map[string]bool
		want  []string
		next  time.Duration
	}{
		{name: "nothing to do", pool: active, nodes: n, block: []v1alpha1.IPBlock{block(a, "p", "n", leased)}},
		{name: "disabled pool keeps", pool: disabled, nodes: n, block: []v1alpha1.IPBlock{block(a, "p", "n", leased)}},
		{name: "pool drains", pool: drains, nodes: n, block: []v1alpha1.IPBlock{block(a, "p", "n", leased)}, want: []string{a + ": Draining uid-n (pool is draining)"}},
		{name: "pool is gone", nodes: n, block: []v1alpha1.IPBlock{block(a, "p", "n", leased)}, want: []string{a + ": Draining uid-n (pool is gone)"}},
		{name: "another pool of the name", pool: active, nodes: n, block: func() []v1alpha1.IPBlock {
			x := block(a, "p", "n", leased)
			x.Spec.PoolUID = "uid-older"
			return []v1alpha1.IPBlock{x}
		}(), want: []string{a + ": Draining uid-n (pool is gone)"}},
		{name: "draining waits for the agent", pool: active, nodes: n, block: []v1alpha1.IPBlock{block(a, "p", "n", draining)}},
		{
			name: "released", pool: active, nodes: n, block: []v1alpha1.IPBlock{block(a, "p", "n", draining)},
			state: []v1alpha1.NodeState{released("n", "uid-"+a)}, want: []string{a + ": Cooling uid-n until 03:09:06 (agent released it)"},
		},
		{
			name: "released by another node's agent", pool: active, nodes: n, block: []v1alpha1.IPBlock{block(a, "p", "n", draining)},
			state: []v1alpha1.NodeState{released("m", "uid-"+a)},
		},
		{
			name: "a report of release does not end a lease", pool: active, nodes: n, block: []v1alpha1.IPBlock{block(a, "p", "n", leased)},
			state: []v1alpha1.NodeState{released("n", "uid-"+a)},
		},
		{name: "node missing, in grace", pool: active, block: []v1alpha1.IPBlock{block(a, "p", "n", leased)}},
		{
			name: "node gone", pool: active, block: []v1alpha1.IPBlock{block(a, "p", "n", leased), block(b, "p", "n", draining)}, gone: map[string]bool{"n": true},
			want: []string{a + ": Cooling uid-n until 03:09:06 (node is gone)", b + ": Cooling uid-n until 03:09:06 (node is gone)"},
		},
		{
			name: "node seen again at the last moment", pool: active, nodes: n, block: []v1alpha1.IPBlock{block(a, "p", "n", leased)}, gone: map[string]bool{"n": true},
		},
		{name: "node came back", pool: active, nodes: []corev1.Node{back}, block: []v1alpha1.IPBlock{block(a, "p", "n", leased)}, want: []string{a + ": Leased uid-again (node came back)"}},
		{name: "node came back to a draining block", pool: active, nodes: []corev1.Node{back}, block: []v1alpha1.IPBlock{block(a, "p", "n", draining)}, want: []string{a + ": Draining uid-again (node came back)"}},
		{
			name: "given back", pool: active, nodes: n, block: []v1alpha1.IPBlock{younger, block(a, "p", "n", leased)},
			state: []v1alpha1.NodeState{needing("n", 1, "uid-"+b)}, want: []string{b + ": Draining uid-n (node gives it back)"},
		},
		{
			name: "the older one, if that is what is closed", pool: active, nodes: n, block: []v1alpha1.IPBlock{younger, block(a, "p", "n", leased)},
			state: []v1alpha1.NodeState{needing("n", 1, "uid-"+a)}, want: []string{a + ": Draining uid-n (node gives it back)"},
		},
		{
			name: "needed", pool: active, nodes: n, block: []v1alpha1.IPBlock{younger, block(a, "p", "n", leased)},
			state: []v1alpha1.NodeState{needing("n", 2, "uid-"+b)},
		},
		{
			name: "not needed, but open", pool: active, nodes: n, block: []v1alpha1.IPBlock{younger, block(a, "p", "n", leased)},
			state: []v1alpha1.NodeState{needing("n", 1)},
		},
		{
			name: "closed, but used since", pool: active, nodes: n, block: []v1alpha1.IPBlock{younger, block(a, "p", "n", leased)},
			state: []v1alpha1.NodeState{func() v1alpha1.NodeState {
				x := needing("n", 1, "uid-"+b)
				x.Status.Blocks[0].Used = 1
				return x
			}()},
		},
		{
			name: "one always stays", pool: active, nodes: n, block: []v1alpha1.IPBlock{younger, block(a, "p", "n", leased)},
			state: []v1alpha1.NodeState{needing("n", 0, "uid-"+a, "uid-"+b)}, want: []string{b + ": Draining uid-n (node gives it back)"},
		},
		{
			name: "said by another node", pool: active, nodes: append(slices.Clone(n), *newNode("m", 0, nil)), block: []v1alpha1.IPBlock{younger, block(a, "p", "n", leased)},
			state: []v1alpha1.NodeState{needing("m", 1, "uid-"+b)},
		},
		{
			name: "said of an earlier node", pool: active, nodes: []corev1.Node{back}, block: []v1alpha1.IPBlock{block(b, "p", "n", leased), block(a, "p", "n", leased)},
			state: []v1alpha1.NodeState{needing("n", 1, "uid-"+b)},
			want:  []string{a + ": Leased uid-again (node came back)", b + ": Leased uid-again (node came back)"},
		},
		{
			name: "a draining one is none too many", pool: active, nodes: n, block: []v1alpha1.IPBlock{block(b, "p", "n", draining), block(a, "p", "n", leased)},
			state: []v1alpha1.NodeState{needing("n", 1, "uid-"+a, "uid-"+b)},
		},
		{name: "two, and nobody said anything", pool: active, nodes: n, block: []v1alpha1.IPBlock{younger, block(a, "p", "n", leased)}},
		{name: "draining and leased is no second", pool: active, nodes: n, block: []v1alpha1.IPBlock{younger, block(a, "p", "n", draining)}},
		{
			name: "cooling", pool: active, nodes: n, next: time.Minute, want: []string{b + ": deleted (cooling period is over)"},
			block: []v1alpha1.IPBlock{cooling(block(a, "p", "n", leased), now.Add(time.Minute)), cooling(block(b, "p", "n", leased), now)},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &State{Now: now, Nodes: c.nodes, Blocks: c.block, NodeStates: c.state}
			if c.pool != nil {
				s.Pools = []v1alpha1.IPPool{*c.pool}
			}
			before := (&v1alpha1.IPBlockList{Items: s.Blocks}).DeepCopy()
			got, next := decideLife(s, c.gone, 5*time.Minute)
			if diff := cmp.Diff(c.want, lives(got)); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
			if next != c.next {
				t.Errorf("next in %s, want %s", next, c.next)
			}
			if diff := cmp.Diff(before.Items, s.Blocks); diff != "" {
				t.Errorf("the cache's objects were changed:\n%s", diff)
			}
		})
	}
}

// now has a fraction of a second, which the API does not keep.
var now = born.Add(500 * time.Millisecond)

func TestDecideLeftovers(t *testing.T) {
	s := &State{Blocks: []v1alpha1.IPBlock{
		block("10.0.0.0/26", "p", "leased", v1alpha1.BlockLeased),
		block("10.0.0.64/26", "p", "draining", v1alpha1.BlockDraining),
		cooling(block("10.0.0.128/26", "p", "cooling", v1alpha1.BlockLeased), now),
	}}
	got := decideLeftovers(s, map[string]bool{"leased": true, "draining": true, "cooling": true, "bare": true})
	if diff := cmp.Diff([]string{"bare", "cooling"}, got); diff != "" {
		t.Errorf("leftovers (-want +got):\n%s", diff)
	}
}

func TestGone(t *testing.T) {
	s := &State{
		Nodes:      []corev1.Node{*newNode("here", 0, nil)},
		Blocks:     []v1alpha1.IPBlock{block("10.0.0.0/26", "p", "by-block", v1alpha1.BlockCooling), block("10.0.0.64/26", "p", "here", v1alpha1.BlockLeased)},
		BGPNodes:   []v1alpha1.BGPNode{{ObjectMeta: age("here", 0)}, {ObjectMeta: age("by-bgp", 0)}},
		NodeStates: []v1alpha1.NodeState{{ObjectMeta: age("by-state", 0)}, {ObjectMeta: age("by-bgp", 0)}},
	}
	if diff := cmp.Diff([]string{"by-bgp", "by-block", "by-state"}, s.gone()); diff != "" {
		t.Errorf("gone (-want +got):\n%s", diff)
	}
}

func TestLearntBlocksUntilTheCacheShowsThem(t *testing.T) {
	l := learnt{}
	l.add([]v1alpha1.IPBlock{block("10.0.0.64/26", "p", "n", v1alpha1.BlockLeased)})
	// The same name under another UID is the block before, which the cache still shows.
	before := block("10.0.0.64/26", "p", "m", v1alpha1.BlockCooling)
	before.UID = "uid-before"
	s := &State{Now: time.Now(), Blocks: []v1alpha1.IPBlock{before}}
	if l.merge(s); len(s.Blocks) != 2 {
		t.Fatalf("blocks %v, want both", summary(s.Blocks))
	}
	s = &State{Now: time.Now(), Blocks: []v1alpha1.IPBlock{block("10.0.0.64/26", "p", "n", v1alpha1.BlockLeased)}}
	if l.merge(s); len(s.Blocks) != 1 || len(l) != 0 {
		t.Errorf("blocks %v, remembered %d", summary(s.Blocks), len(l))
	}
	l.add([]v1alpha1.IPBlock{before})
	s = &State{Now: time.Now().Add(2 * learntFor)}
	if l.merge(s); len(s.Blocks) != 0 || len(l) != 0 {
		t.Errorf("a block that never showed is remembered for ever: %v", summary(s.Blocks))
	}
}
