package cluster

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"fairlead.dev/api/v1alpha1"
)

func entry(pool, cidr string, size int32) v1alpha1.AddressPlanEntry {
	return v1alpha1.AddressPlanEntry{CIDR: cidr, BlockSize: size, PoolName: pool, PoolUID: "uid-" + pool}
}

func block(cidr, pool, node string, state v1alpha1.BlockState) v1alpha1.IPBlock {
	name := v1alpha1.BlockName(netip.MustParsePrefix(cidr))
	b := v1alpha1.IPBlock{ObjectMeta: age(name, 0), Spec: v1alpha1.IPBlockSpec{
		CIDR: cidr, PoolName: pool, PoolUID: "uid-" + pool, NodeName: node, NodeUID: "uid-" + node, State: state,
	}}
	b.UID = types.UID("uid-" + cidr)
	return b
}

func poolOf(p *v1alpha1.IPPool, later int) v1alpha1.IPPool {
	p.CreationTimestamp = metav1.NewTime(born.Add(time.Duration(later) * time.Second))
	return *p
}

func TestDecideClaims(t *testing.T) {
	deleting := *newPool("deleting", "10.0.0.0/16", 26)
	deleting.DeletionTimestamp = &metav1.Time{Time: born}
	for _, c := range []struct {
		name    string
		pools   []v1alpha1.IPPool
		entries []v1alpha1.AddressPlanEntry
		blocks  []v1alpha1.IPBlock
		add     []string
		refused map[string]string // UID: what the message says
		orphans []string
	}{
		{
			name: "older first, whatever the names", pools: []v1alpha1.IPPool{poolOf(newPool("a", "10.0.0.0/16", 26), 5), poolOf(newPool("b", "10.0.1.0/24", 26), 1)},
			add: []string{"b 10.0.1.0/24 /26"}, refused: map[string]string{"uid-a": "10.0.0.0/16 overlaps 10.0.1.0/24 of IPPool/b"},
		},
		{
			name: "of one age the first by name", pools: []v1alpha1.IPPool{*newPool("b", "10.0.0.0/16", 26), *newPool("a", "10.0.0.0/16", 28)},
			add: []string{"a 10.0.0.0/16 /28"}, refused: map[string]string{"uid-b": "IPPool/a, which claimed it first"},
		},
		{
			name: "who holds it keeps it", pools: []v1alpha1.IPPool{poolOf(newPool("old", "10.0.0.0/16", 26), 0), poolOf(newPool("young", "10.0.0.0/24", 26), 9)},
			entries: []v1alpha1.AddressPlanEntry{entry("young", "10.0.0.0/24", 26)}, refused: map[string]string{"uid-old": "IPPool/young"},
		},
		{
			name: "families do not meet", pools: []v1alpha1.IPPool{*newPool("four", "0.0.0.0/0", 26), *newPool("six", "::/0", 122)},
			add: []string{"four 0.0.0.0/0 /26", "six ::/0 /122"},
		},
		{
			name: "an invalid range claims nothing", pools: []v1alpha1.IPPool{*newPool("bad", "10.0.0.0/28", 26), *newPool("good", "10.0.0.0/16", 26)},
			add: []string{"good 10.0.0.0/16 /26"},
		},
		{name: "a pool that is being deleted claims nothing", pools: []v1alpha1.IPPool{deleting}},
		{
			name: "a deleted pool's range, in use", pools: []v1alpha1.IPPool{*newPool("new", "10.0.0.0/16", 26)},
			entries: []v1alpha1.AddressPlanEntry{entry("gone", "10.0.0.0/24", 26)}, blocks: []v1alpha1.IPBlock{block("10.0.0.0/26", "gone", "n", v1alpha1.BlockCooling)},
			refused: map[string]string{"uid-new": "which was deleted and whose blocks are not all released yet"},
		},
		{
			name: "a deleted pool's range, not in use", entries: []v1alpha1.AddressPlanEntry{entry("gone", "10.0.0.0/24", 26), entry("p", "10.1.0.0/24", 26)},
			pools: []v1alpha1.IPPool{*newPool("p", "10.1.0.0/24", 26)}, orphans: []string{"10.0.0.0/24"},
		},
		{
			name: "an orphan is not granted before it is gone", pools: []v1alpha1.IPPool{*newPool("new", "10.0.0.0/16", 26)},
			entries: []v1alpha1.AddressPlanEntry{entry("gone", "10.0.0.0/24", 26)}, orphans: []string{"10.0.0.0/24"},
			refused: map[string]string{"uid-new": "IPPool/gone"},
		},
		{
			name: "blocks of a lost plan", pools: []v1alpha1.IPPool{*newPool("p", "10.0.0.0/16", 26), *newPool("q", "10.0.0.0/24", 28)},
			blocks: []v1alpha1.IPBlock{block("10.0.0.0/28", "q", "n", v1alpha1.BlockLeased)},
			add:    []string{"q 10.0.0.0/24 /28"}, refused: map[string]string{"uid-p": "IPBlock/10.0.0.0-28"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &State{Pools: c.pools, Blocks: c.blocks}
			got := decideClaims(readPools(s), c.entries, c.blocks)
			var add, orphans []string
			for _, e := range got.add {
				add = append(add, fmt.Sprintf("%s %s /%d", e.PoolName, e.CIDR, e.BlockSize))
			}
			for _, e := range got.orphans {
				orphans = append(orphans, e.CIDR)
			}
			if diff := cmp.Diff(c.add, add); diff != "" {
				t.Errorf("added (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.orphans, orphans); diff != "" {
				t.Errorf("orphans (-want +got):\n%s", diff)
			}
			if len(got.refused) != len(c.refused) {
				t.Errorf("refused %v, want %v", got.refused, c.refused)
			}
			for uid, want := range c.refused {
				if r := got.refused[uid]; r == nil || r.reason != reasonOverlap || !strings.Contains(r.message, want) {
					t.Errorf("%s refused %+v, want %q", uid, r, want)
				}
			}
		})
	}
}

func TestPlanIsFull(t *testing.T) {
	var entries []v1alpha1.AddressPlanEntry
	var pools []v1alpha1.IPPool
	for i := range v1alpha1.MaxPlanEntries {
		p := newPool(fmt.Sprintf("p%03d", i), fmt.Sprintf("10.%d.%d.0/24", i/256, i%256), 26)
		pools = append(pools, *p)
		entries = append(entries, entry(p.Name, p.Spec.CIDR, 26))
	}
	pools = append(pools, *newPool("z", "172.16.0.0/24", 26))
	got := decideClaims(readPools(&State{Pools: pools}), entries, nil)
	if r := got.refused["uid-z"]; r == nil || r.reason != reasonPlanFull || len(got.add) > 0 {
		t.Errorf("refused %+v, added %v", r, got.add)
	}
}

// Whatever pools come and go, in whatever order: entries never overlap, and no
// pool that overlaps nothing is refused.
func TestClaimsNeverOverlap(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var entries []v1alpha1.AddressPlanEntry
	var pools []v1alpha1.IPPool
	for step := range 500 {
		bits := 12 + random.IntN(12)
		cidr := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(random.IntN(256)), byte(random.IntN(256)), 0}), bits).Masked()
		pools = append(pools, poolOf(newPool(fmt.Sprintf("p%03d", step), cidr.String(), 26), random.IntN(10)))
		if len(pools) > 20 {
			drop := random.IntN(len(pools))
			pools = append(pools[:drop:drop], pools[drop+1:]...)
		}
		got := decideClaims(readPools(&State{Pools: pools}), entries, nil)
		entries = append(entries, got.add...)
		for i, a := range entries {
			for _, b := range entries[:i] {
				if netip.MustParsePrefix(a.CIDR).Overlaps(netip.MustParsePrefix(b.CIDR)) {
					t.Fatalf("step %d: %s and %s overlap", step, a.CIDR, b.CIDR)
				}
			}
		}
		if len(got.holds)+len(got.add)+len(got.refused) < len(pools) {
			t.Fatalf("step %d: a pool is neither granted nor refused", step)
		}
		for _, o := range got.orphans { // one at a time, as later passes would
			for i, e := range entries {
				if e == o {
					entries = append(entries[:i:i], entries[i+1:]...)
					break
				}
			}
			break
		}
	}
}

func TestSince(t *testing.T) {
	s := since{}
	s.update(born, []string{"a", "b"})
	s.update(born.Add(3*time.Second), []string{"b", "c"})
	over, next := s.due(born.Add(5*time.Second), 4*time.Second)
	if diff := cmp.Diff(map[string]bool{"b": true}, over); diff != "" {
		t.Errorf("over (-want +got):\n%s", diff)
	}
	if next != 2*time.Second {
		t.Errorf("next in %s, want 2s, when c is", next)
	}
	s.update(born.Add(6*time.Second), nil)
	s.update(born.Add(7*time.Second), []string{"b"})
	if over, _ := s.due(born.Add(8*time.Second), 4*time.Second); over["b"] {
		t.Error("what came back is still dated from before")
	}
}
