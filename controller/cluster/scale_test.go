package cluster

import (
	"fmt"
	"net/netip"
	"testing"

	"fairlead.dev/api/v1alpha1"
)

// bigState is a cluster of nodes in racks of 20, a ToR peer for each rack and
// family, and a block of each of two pools for each node.
func bigState(nodes int) *State {
	s := &State{Now: now, Plan: &v1alpha1.AddressPlan{}}
	for _, p := range []*v1alpha1.IPPool{newPool("four", "10.0.0.0/8", 26), newPool("six", "fd00::/64", 122)} {
		s.Pools = append(s.Pools, *p)
		s.Plan.Spec.Entries = append(s.Plan.Spec.Entries, entry(p.Name, p.Spec.CIDR, *p.Spec.BlockSize))
	}
	four, six := readPool(&s.Pools[0]).space(nil), readPool(&s.Pools[1]).space(nil)
	for i := range nodes {
		name := fmt.Sprintf("n%05d", i)
		n := newNode(name, i, rack(fmt.Sprint(i/20)), netip.AddrFrom4([4]byte{172, 16, byte(i >> 8), byte(i)}).String())
		s.Nodes = append(s.Nodes, *n)
		a, _ := four.Next()
		b, _ := six.Next()
		four.Take(a)
		six.Take(b)
		s.Blocks = append(s.Blocks, block(a.String(), "four", name, v1alpha1.BlockLeased), block(b.String(), "six", name, v1alpha1.BlockLeased))
		s.NodeStates = append(s.NodeStates, released(name))
		if i%20 == 0 {
			for _, tor := range []string{"a", "b", "c", "d"} {
				s.Peers = append(s.Peers, *newPeer(fmt.Sprintf("r%05d-%s", i/20, tor), "192.0.2."+tor, byLabel("rack", fmt.Sprint(i/20))))
			}
		}
	}
	s.sort()
	return s
}

// Nothing is decided for a cluster at rest, however big.
func TestBigClusterAtRest(t *testing.T) {
	s := bigState(10_000)
	s.BGPNodes, _ = decideBGPNodes(s)
	again, refused := decideBGPNodes(s)
	for i := range again {
		if !sameBGPNode(&s.BGPNodes[i], &again[i]) {
			t.Fatalf("%s changes: %+v", again[i].Name, again[i].Spec)
		}
	}
	if len(refused) > 0 {
		t.Errorf("refused %v", refused[:1])
	}
	if changes, _ := decideLife(s, nil, 0); len(changes) > 0 {
		t.Errorf("%d blocks change: %v", len(changes), lives(changes[:1]))
	}
	for _, p := range readPools(s) {
		if len(p.waiting) > 0 {
			t.Errorf("%d nodes wait for a block of %s", len(p.waiting), p.Name)
		}
	}
	if c := decideClaims(readPools(s), s.Plan.Spec.Entries, s.Blocks); len(c.add)+len(c.refused)+len(c.orphans) > 0 {
		t.Errorf("claims change: %+v", c)
	}
}

func BenchmarkDecide(b *testing.B) {
	s := bigState(10_000)
	for name, decide := range map[string]func(){
		"lease":  func() { readPools(s); decideLife(s, nil, 0); s.gone() },
		"route":  func() { decideBGPNodes(s) },
		"status": func() { decidePools(s); decidePeers(s); decideConfigs(s) },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				decide()
			}
		})
	}
}
