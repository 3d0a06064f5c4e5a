package plan_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/controller/plan"
)

// held is a Leased block, and what the store says of it; nil if it is not there.
type held struct {
	pool, cidr string
	lease      *plan.Lease
}

func full(capacity, used int64) *plan.Lease { return &plan.Lease{Capacity: capacity, Used: used} }

func idle(capacity int64) *plan.Lease { return &plan.Lease{Capacity: capacity, Idle: true} }

func closed(used int64) *plan.Lease {
	return &plan.Lease{Capacity: 64, Used: used, Closed: true, Idle: used == 0}
}

// holding is the snapshot of a node with these blocks of these pools.
func holding(pools []v1alpha1.IPPool, blocks []held) plan.Snapshot {
	s := plan.Snapshot{Leases: map[netip.Prefix]plan.Lease{}}
	s.Intent.Node.Name = "n"
	s.Intent.Pools = pools
	for _, h := range blocks {
		cidr := netip.MustParsePrefix(h.cidr)
		ipamOnly := slices.ContainsFunc(pools, func(p v1alpha1.IPPool) bool { return p.Name == h.pool && !p.Spec.EffectiveAdvertise() })
		s.Intent.Blocks = append(s.Intent.Blocks, v1alpha1.IPBlock{
			ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.BlockName(cidr), UID: types.UID(h.cidr)},
			Spec: v1alpha1.IPBlockSpec{
				CIDR: h.cidr, PoolName: h.pool, PoolUID: "uid-" + h.pool, NodeName: "n", IPAMOnly: ipamOnly, State: v1alpha1.BlockLeased,
			},
		})
		if h.lease != nil {
			l := *h.lease
			if l.UID == "" {
				l.UID = h.cidr
			}
			s.Leases[cidr] = l
		}
	}
	return s
}

func poolNamed(name string, change func(*v1alpha1.IPPoolSpec)) v1alpha1.IPPool {
	p := v1alpha1.IPPool{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name)}}
	if change != nil {
		change(&p.Spec)
	}
	return p
}

func TestGrowth(t *testing.T) {
	yes, no := true, false
	four, six := poolNamed("four", nil), poolNamed("six", nil)
	other := poolNamed("other", nil)
	lan := poolNamed("lan", func(p *v1alpha1.IPPoolSpec) { p.Advertise = &no })
	lan2 := poolNamed("lan2", func(p *v1alpha1.IPPoolSpec) { p.Advertise = &no })
	disabled := poolNamed("four", func(p *v1alpha1.IPPoolSpec) { p.State = v1alpha1.PoolDisabled })
	elsewhere := poolNamed("four", func(p *v1alpha1.IPPoolSpec) {
		p.Advertise, p.NodeSelector = &yes, &metav1.LabelSelector{MatchLabels: map[string]string{"rack": "r2"}}
	})
	const a, b, c = "10.0.0.0/26", "10.0.0.64/26", "10.0.0.128/26"
	const ta, tb, tc = "10.0.0.0/29", "10.0.0.8/29", "10.0.0.16/29"
	for _, x := range []struct {
		name   string
		pools  []v1alpha1.IPPool
		blocks []held
		want   []string // pool has/needs
		closed []string
	}{
		{name: "nothing used", pools: []v1alpha1.IPPool{four}, blocks: []held{{"four", a, full(64, 0)}}, want: []string{"four 1/1"}},
		{name: "as many free as the reserve", pools: []v1alpha1.IPPool{four}, blocks: []held{{"four", a, full(64, 48)}}, want: []string{"four 1/1"}},
		{name: "one less", pools: []v1alpha1.IPPool{four}, blocks: []held{{"four", a, full(64, 49)}}, want: []string{"four 1/2"}},
		{name: "full", pools: []v1alpha1.IPPool{four}, blocks: []held{{"four", a, full(64, 64)}}, want: []string{"four 1/2"}},
		{name: "more used than there is", pools: []v1alpha1.IPPool{four}, blocks: []held{{"four", a, full(10, 64)}}, want: []string{"four 1/2"}},
		{name: "granted, not stored yet", pools: []v1alpha1.IPPool{four}, blocks: []held{{"four", a, full(64, 64)}, {"four", b, nil}}, want: []string{"four 2/2"}},
		{name: "a store rebuilt from the kernel", pools: []v1alpha1.IPPool{four}, blocks: []held{{"four", a, full(0, 60)}}, want: []string{"four 1/2"}},
		{name: "with the second used too", pools: []v1alpha1.IPPool{four}, blocks: []held{{"four", a, full(64, 64)}, {"four", b, full(64, 60)}}, want: []string{"four 2/3"}},
		{name: "beyond the maximum too", pools: []v1alpha1.IPPool{poolNamed("four", func(p *v1alpha1.IPPoolSpec) { p.MaxBlocksPerNode = new(int32(1)) })}, blocks: []held{{"four", a, full(64, 64)}}, want: []string{"four 1/2"}},
		{
			name: "all reserved", pools: []v1alpha1.IPPool{poolNamed("four", func(p *v1alpha1.IPPoolSpec) { p.Reserved = []string{a} })},
			blocks: []held{{"four", a, nil}}, want: []string{"four 1/2"},
		},
		{name: "a disabled pool is not asked", pools: []v1alpha1.IPPool{disabled}, blocks: []held{{"four", a, full(64, 64)}}, want: []string{"four 1/1"}},
		{name: "nor one that selects the node no more", pools: []v1alpha1.IPPool{elsewhere}, blocks: []held{{"four", a, full(64, 64)}}, want: []string{"four 1/1"}},
		{name: "nor one that is gone", blocks: []held{{"four", a, full(64, 64)}}, want: []string{"four 1/1"}},

		{name: "small blocks, few pods", pools: []v1alpha1.IPPool{four}, blocks: []held{{"four", ta, full(8, 4)}}, want: []string{"four 1/1"}},
		{name: "small blocks, more pods", pools: []v1alpha1.IPPool{four}, blocks: []held{{"four", ta, full(8, 5)}}, want: []string{"four 1/2"}},
		{name: "blocks of one address, none used", pools: []v1alpha1.IPPool{four}, blocks: []held{{"four", "10.0.0.1/32", full(1, 0)}}, want: []string{"four 1/1"}},
		{name: "blocks of one address, one used", pools: []v1alpha1.IPPool{four}, blocks: []held{{"four", "10.0.0.1/32", full(1, 1)}}, want: []string{"four 1/2"}},
		{
			name: "blocks of one address, several used", pools: []v1alpha1.IPPool{four},
			blocks: []held{{"four", "10.0.0.1/32", full(1, 1)}, {"four", "10.0.0.2/32", full(1, 1)}, {"four", "10.0.0.3/32", full(1, 1)}, {"four", "10.0.0.4/32", full(1, 0)}},
			want:   []string{"four 4/6"},
		},
		{name: "blocks too large to count", pools: []v1alpha1.IPPool{six}, blocks: []held{{"six", "fd00::/64", full(1<<62, 5)}, {"six", "fd00:1::/64", full(1<<63-1, 5)}}, want: []string{"six 2/2"}},

		{name: "written around the API's rules", pools: []v1alpha1.IPPool{four}, blocks: []held{{"four", "::ffff:10.0.0.0/122", nil}}, want: []string{"four 1/2"}},
		{
			name: "families by themselves", pools: []v1alpha1.IPPool{four, six}, want: []string{"four 1/1", "six 1/2"},
			blocks: []held{{"four", a, full(64, 30)}, {"six", "fd00::/122", full(64, 60)}},
		},
		{
			name: "pools of one family by themselves", pools: []v1alpha1.IPPool{four, other}, want: []string{"four 1/2", "other 1/1"},
			blocks: []held{{"four", a, full(64, 64)}, {"other", b, full(64, 0)}},
		},
		{
			name: "pools for attachments by themselves", pools: []v1alpha1.IPPool{four, lan, lan2}, want: []string{"four 1/2", "lan 1/1", "lan2 1/2"},
			blocks: []held{{"four", a, full(64, 64)}, {"lan", b, full(64, 1)}, {"lan2", c, full(64, 63)}},
		},

		{name: "not idle for long yet", pools: []v1alpha1.IPPool{four}, blocks: []held{{"four", a, full(64, 2)}, {"four", b, full(64, 0)}}, want: []string{"four 2/2"}},
		{name: "idle", pools: []v1alpha1.IPPool{four}, blocks: []held{{"four", a, full(64, 32)}, {"four", b, idle(64)}}, want: []string{"four 2/1"}, closed: []string{b}},
		{name: "idle, but the other is rather full", pools: []v1alpha1.IPPool{four}, blocks: []held{{"four", a, full(64, 33)}, {"four", b, idle(64)}}, want: []string{"four 2/2"}},
		{name: "closed stays closed", pools: []v1alpha1.IPPool{four}, blocks: []held{{"four", a, full(64, 40)}, {"four", b, closed(0)}}, want: []string{"four 2/1"}, closed: []string{b}},
		{name: "unless it is needed", pools: []v1alpha1.IPPool{four}, blocks: []held{{"four", a, full(64, 50)}, {"four", b, closed(0)}}, want: []string{"four 2/2"}},
		{name: "or was used in the last moment", pools: []v1alpha1.IPPool{four}, blocks: []held{{"four", a, full(64, 2)}, {"four", b, closed(1)}}, want: []string{"four 2/2"}},
		{name: "the last stays", pools: []v1alpha1.IPPool{four}, blocks: []held{{"four", a, idle(64)}, {"four", b, idle(64)}}, want: []string{"four 2/1"}, closed: []string{b}},
		{name: "one of each pool stays", pools: []v1alpha1.IPPool{four, other}, blocks: []held{{"four", a, idle(64)}, {"other", b, idle(64)}}, want: []string{"four 1/1", "other 1/1"}},
		{name: "several at once, and never too many", pools: []v1alpha1.IPPool{four}, blocks: []held{{"four", ta, full(8, 4)}, {"four", tb, idle(8)}, {"four", tc, idle(8)}}, want: []string{"four 3/2"}, closed: []string{tc}},
		{name: "the lowest is idle", pools: []v1alpha1.IPPool{four}, blocks: []held{{"four", a, idle(64)}, {"four", b, full(64, 3)}}, want: []string{"four 2/1"}, closed: []string{a}},
		{name: "a disabled pool keeps all", pools: []v1alpha1.IPPool{disabled}, blocks: []held{{"four", a, full(64, 2)}, {"four", b, idle(64)}}, want: []string{"four 2/2"}},
		{
			name: "another lease was closed", pools: []v1alpha1.IPPool{four}, want: []string{"four 2/2"},
			blocks: []held{{"four", a, full(64, 2)}, {"four", b, &plan.Lease{UID: "before", Capacity: 64, Closed: true, Idle: true}}},
		},
	} {
		t.Run(x.name, func(t *testing.T) {
			p, problems := plan.Compute(holding(x.pools, x.blocks))
			for _, problem := range problems {
				if problem.Object != "BGPNode/n" {
					t.Error(problem)
				}
			}
			var want, shut []string
			for _, w := range p.Wants {
				want = append(want, fmt.Sprintf("%s %d/%d", w.Pool, w.Has, w.Count))
			}
			for _, l := range p.Leases {
				if l.Closed {
					shut = append(shut, l.CIDR.String())
				}
			}
			if diff := cmp.Diff(x.want, want); diff != "" {
				t.Errorf("wanted (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(x.closed, shut); diff != "" {
				t.Errorf("closed (-want +got):\n%s", diff)
			}
		})
	}
}
