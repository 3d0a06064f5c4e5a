package cluster

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/api/v1alpha1"
)

// cause is why a block changes, and thereby what must be read live before.
type cause string

const (
	causeNodeBack    cause = "node came back"
	causeNodeGone    cause = "node is gone"
	causePoolGone    cause = "pool is gone"
	causePoolDrains  cause = "pool is draining"
	causeSecondBlock cause = "node has older blocks, as many as it needs"
	causePodCIDR     cause = "node has another podCIDR"
	causeGivenBack   cause = "node gives it back"
	causeReleased    cause = "agent released it"
	causeCooled      cause = "cooling period is over"
)

// transition is one change of one block. next is nil for deletion.
type transition struct {
	cause cause
	block *v1alpha1.IPBlock
	next  *v1alpha1.IPBlockSpec
}

// decideLife returns what becomes of the blocks, and after how long (0: never)
// the next one is due. gone are the names of the nodes whose grace time is over.
func decideLife(s *State, gone map[string]bool, cooling time.Duration) ([]transition, time.Duration) {
	var out []transition
	var next time.Duration
	look := newLookup(s)
	for i := range s.Blocks {
		b := &s.Blocks[i]
		if b.Spec.State != v1alpha1.BlockCooling {
			if t, changes := look.live(b, gone, s.Now.Add(cooling)); changes {
				out = append(out, t)
			}
			continue
		}
		if left := coolingLeft(b, s.Now); left > 0 {
			next = earliest(next, left)
		} else {
			out = append(out, transition{cause: causeCooled, block: b})
		}
	}
	return out, next
}

func coolingLeft(b *v1alpha1.IPBlock, now time.Time) time.Duration {
	if b.Spec.CoolingUntil == nil {
		return 0
	}
	return b.Spec.CoolingUntil.Sub(now)
}

// lookup indexes what the life of a block depends on.
type lookup struct {
	nodes    map[string]*corev1.Node
	pools    map[string]*v1alpha1.IPPool
	released map[string]map[string]bool // by node, block UIDs
	closed   map[string]map[string]bool // by node, UIDs of empty blocks
	// spare counts the Leased blocks that a node has beyond those that it needs.
	spare map[holder]int
}

func newLookup(s *State) lookup {
	l := lookup{
		nodes:    s.nodesByName(),
		pools:    map[string]*v1alpha1.IPPool{},
		released: map[string]map[string]bool{},
		closed:   map[string]map[string]bool{},
		spare:    map[holder]int{},
	}
	for i := range s.Pools {
		l.pools[string(s.Pools[i].UID)] = &s.Pools[i]
	}
	for i := range s.NodeStates {
		n := &s.NodeStates[i]
		l.released[n.Name] = set(n.Status.ReleasedBlocks)
		if speaksFor(n, l.nodes[n.Name]) {
			l.closed[n.Name] = set(closedBlocks(n))
		}
	}
	needed := needs(s)
	for at, has := range leasedBlocks(s) {
		if need, said := needed[at]; said {
			l.spare[at] = has - max(1, need)
		}
	}
	return l
}

func set(all []string) map[string]bool {
	if len(all) == 0 {
		return nil
	}
	out := make(map[string]bool, len(all))
	for _, x := range all {
		out[x] = true
	}
	return out
}

func compareAge(a, b *v1alpha1.IPBlock) int {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
}

// live decides on a block that is Leased or Draining.
func (l lookup) live(b *v1alpha1.IPBlock, gone map[string]bool, coolUntil time.Time) (transition, bool) {
	t := transition{block: b, next: b.Spec.DeepCopy()}
	node := l.nodes[b.Spec.NodeName]
	switch drain := l.drain(b); {
	case node == nil && gone[b.Spec.NodeName]:
		t.cause = causeNodeGone
		t.next.State, t.next.CoolingUntil = v1alpha1.BlockCooling, seconds(coolUntil)
	case b.Spec.State == v1alpha1.BlockDraining && l.released[b.Spec.NodeName][string(b.UID)]:
		t.cause = causeReleased
		t.next.State, t.next.CoolingUntil = v1alpha1.BlockCooling, seconds(coolUntil)
	case b.Spec.State == v1alpha1.BlockLeased && drain != "":
		t.cause = drain
		t.next.State = v1alpha1.BlockDraining
	case node != nil && string(node.UID) != b.Spec.NodeUID:
		t.cause = causeNodeBack
		t.next.NodeUID = string(node.UID)
	default:
		return transition{}, false
	}
	return t, true
}

// drain returns why a Leased block must end, "" if it need not.
func (l lookup) drain(b *v1alpha1.IPBlock) cause {
	p := l.pools[b.Spec.PoolUID]
	switch {
	case p == nil || p.DeletionTimestamp != nil:
		return causePoolGone
	case p.Spec.State == v1alpha1.PoolDraining:
		return causePoolDrains
	case b.Spec.Adopted && otherPodCIDR(l.nodes[b.Spec.NodeName], b):
		return causePodCIDR
	}
	at := holder{b.Spec.PoolUID, b.Spec.NodeName}
	if b.Spec.State == v1alpha1.BlockLeased && l.spare[at] > 0 && l.closed[b.Spec.NodeName][string(b.UID)] {
		l.spare[at]--
		return causeGivenBack
	}
	return ""
}

// seconds rounds up to what the API keeps, so that no time is cut short.
func seconds(t time.Time) *metav1.Time {
	rounded := metav1.NewTime(t.Add(time.Second - time.Nanosecond).Truncate(time.Second))
	return &rounded
}

// decideLeftovers returns the names of the nodes that are gone for good and have
// no block that a pod may use: their BGPNode and NodeState go too.
func decideLeftovers(s *State, gone map[string]bool) []string {
	used := map[string]bool{}
	for i := range s.Blocks {
		if b := &s.Blocks[i]; b.Spec.State != v1alpha1.BlockCooling {
			used[b.Spec.NodeName] = true
		}
	}
	var out []string
	for name := range gone {
		if !used[name] {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}
