package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/api/v1alpha1"
)

// brief renders conditions as type=status/reason, sorted.
func brief(all []metav1.Condition) string {
	var out []string
	for _, c := range all {
		out = append(out, fmt.Sprintf("%s=%s/%s", c.Type, c.Status, c.Reason))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func message(t *testing.T, all []metav1.Condition, kind string) string {
	t.Helper()
	i := slices.IndexFunc(all, func(c metav1.Condition) bool { return c.Type == kind })
	if i < 0 {
		t.Fatalf("no condition %s", kind)
	}
	return all[i].Message
}

func TestDecidePools(t *testing.T) {
	nodes := []corev1.Node{*newNode("n1", 0, rack("r1")), *newNode("n2", 0, nil), *newNode("n3", 0, nil)}
	for _, c := range []struct {
		name   string
		change func(*v1alpha1.IPPool)
		bare   bool // the plan has no entry
		blocks int
		needs  int64 // of n1
		want   string
		says   string // by the first condition that is not as it should be
	}{
		{name: "well", want: "Exhausted=False/BlocksFree Limited=False/BelowMaximum Overlap=False/NoOverlap Ready=True/Active", blocks: 2},
		{name: "not claimed yet", bare: true, want: "Exhausted=False/BlocksFree Limited=False/BelowMaximum Overlap=False/NoOverlap Ready=False/Pending"},
		{name: "draining", change: func(p *v1alpha1.IPPool) { p.Spec.State = v1alpha1.PoolDraining }, blocks: 2, want: "Exhausted=False/BlocksFree Limited=False/BelowMaximum Overlap=False/NoOverlap Ready=True/Draining"},
		{name: "disabled", change: func(p *v1alpha1.IPPool) { p.Spec.State = v1alpha1.PoolDisabled }, want: "Exhausted=False/BlocksFree Limited=False/BelowMaximum Overlap=False/NoOverlap Ready=True/Disabled"},
		{name: "default state", change: func(p *v1alpha1.IPPool) { p.Spec.State = "" }, want: "Exhausted=False/BlocksFree Limited=False/BelowMaximum Overlap=False/NoOverlap Ready=True/Active"},
		{name: "selector", change: func(p *v1alpha1.IPPool) { p.Spec.NodeSelector = wrong() }, want: "Exhausted=False/BlocksFree Limited=False/BelowMaximum Overlap=False/NoOverlap Ready=False/InvalidSelector", says: "spec.nodeSelector"},
		{name: "block larger than pool", bare: true, change: func(p *v1alpha1.IPPool) { p.Spec.BlockSize = new(int32(20)) }, want: "Exhausted=False/BlocksFree Limited=False/BelowMaximum Overlap=False/NoOverlap Ready=False/InvalidRange", says: "larger than the range"},
		{name: "malformed", bare: true, change: func(p *v1alpha1.IPPool) { p.Spec.CIDR = "ten" }, want: "Exhausted=False/BlocksFree Limited=False/BelowMaximum Overlap=False/NoOverlap Ready=False/InvalidRange", says: "spec.cidr"},
		{name: "exhausted by reservation", change: func(p *v1alpha1.IPPool) { p.Spec.Reserved = []string{"10.0.0.128/25"} }, blocks: 2, want: "Exhausted=True/NoFreeBlock Limited=False/BelowMaximum Overlap=False/NoOverlap Ready=True/Active", says: "1 nodes wait for one: n3"},
		{
			name: "asked for more than may be", change: func(p *v1alpha1.IPPool) { p.Spec.MaxBlocksPerNode = new(int32(1)) }, blocks: 2, needs: 2,
			want: "Exhausted=False/BlocksFree Limited=True/MaximumReached Overlap=False/NoOverlap Ready=True/Active", says: "1 nodes ask for more blocks than spec.maxBlocksPerNode, 1, lets them have: n1. Raise it (to 64 at most)",
		},
		{
			name: "asked for more while draining", blocks: 2, needs: 9, want: "Exhausted=False/BlocksFree Limited=False/BelowMaximum Overlap=False/NoOverlap Ready=True/Draining",
			change: func(p *v1alpha1.IPPool) { p.Spec.State = v1alpha1.PoolDraining },
		},
		{name: "asked for more than there is", change: func(p *v1alpha1.IPPool) { p.Spec.Reserved = []string{"10.0.0.128/25"} }, blocks: 2, needs: 2, want: "Exhausted=True/NoFreeBlock Limited=False/BelowMaximum Overlap=False/NoOverlap Ready=True/Active", says: "2 nodes wait for one: n1, n3"},
		{name: "none free, none waits", change: func(p *v1alpha1.IPPool) {
			p.Spec.Reserved = []string{"10.0.0.64/26", "10.0.0.128/25"}
			p.Spec.NodeSelector = byLabel("rack", "r1")
		}, blocks: 1, want: "Exhausted=False/BlocksFree Limited=False/BelowMaximum Overlap=False/NoOverlap Ready=True/Active"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPool("p", "10.0.0.0/24", 26)
			p.Generation = 7
			if c.change != nil {
				c.change(p)
			}
			s := &State{Now: now, Nodes: nodes, Pools: []v1alpha1.IPPool{*p}}
			if !c.bare {
				s.Plan = &v1alpha1.AddressPlan{Spec: v1alpha1.AddressPlanSpec{Entries: []v1alpha1.AddressPlanEntry{entry("p", "10.0.0.0/24", 26)}}}
			}
			for i, cidr := range []string{"10.0.0.0/26", "10.0.0.64/26"}[:c.blocks] {
				s.Blocks = append(s.Blocks, block(cidr, "p", nodes[i].Name, v1alpha1.BlockLeased))
			}
			if c.needs > 0 {
				s.NodeStates = []v1alpha1.NodeState{needing("n1", c.needs)}
			}
			got := decidePools(s)["p"]
			if diff := gocmp.Diff(c.want, brief(got.Conditions)); diff != "" {
				t.Errorf("conditions (-want +got):\n%s", diff)
			}
			if all := fmt.Sprint(got.Conditions); !strings.Contains(all, c.says) {
				t.Errorf("%s do not say %q", all, c.says)
			}
			for _, cond := range got.Conditions {
				if cond.ObservedGeneration != 7 {
					t.Errorf("%s is of generation %d", cond.Type, cond.ObservedGeneration)
				}
			}
			if got.BlocksLeased != int64(c.blocks) {
				t.Errorf("%d blocks leased, want %d", got.BlocksLeased, c.blocks)
			}
		})
	}
}

func TestPoolCounts(t *testing.T) {
	p := newPool("p", "10.0.0.0/24", 26)
	p.Spec.Reserved = []string{"10.0.0.0/26"}
	s := &State{Now: now, Pools: []v1alpha1.IPPool{*p}, Blocks: []v1alpha1.IPBlock{
		block("10.0.0.64/26", "p", "a", v1alpha1.BlockLeased), block("10.0.0.128/26", "p", "b", v1alpha1.BlockDraining), block("10.9.0.0/26", "q", "a", v1alpha1.BlockLeased),
	}, NodeStates: []v1alpha1.NodeState{
		{ObjectMeta: age("a", 0), Status: v1alpha1.NodeStateStatus{Blocks: []v1alpha1.BlockStatus{{UID: "uid-10.0.0.64/26", Used: 3}, {UID: "uid-10.9.0.0/26", Used: 50}}}},
		{ObjectMeta: age("b", 0), Status: v1alpha1.NodeStateStatus{Blocks: []v1alpha1.BlockStatus{{UID: "uid-10.0.0.128/26", Used: 4}, {UID: "of a block that is gone", Used: 9}}}},
	}}
	got := decidePools(s)["p"]
	if got.BlockCapacity != 3 || got.BlocksLeased != 2 || got.AddressesUsed != 7 {
		t.Errorf("capacity %d leased %d used %d, want 3 2 7", got.BlockCapacity, got.BlocksLeased, got.AddressesUsed)
	}
	// A status that says so already stays byte for byte what it is, whenever it is computed.
	s.Pools[0].Status = got
	s.Now = s.Now.Add(time.Hour)
	if diff := gocmp.Diff(got, decidePools(s)["p"]); diff != "" {
		t.Errorf("status changes without a cause:\n%s", diff)
	}
}

func TestDecidePeers(t *testing.T) {
	session := func(peer, state, err string) v1alpha1.SessionStatus {
		return v1alpha1.SessionStatus{Peer: peer, Address: "192.0.2.9", State: state, LastError: err}
	}
	report := func(node string, all ...v1alpha1.SessionStatus) v1alpha1.NodeState {
		return v1alpha1.NodeState{ObjectMeta: age(node, 0), Status: v1alpha1.NodeStateStatus{Sessions: all}}
	}
	nodes := []corev1.Node{*newNode("n1", 0, rack("r1")), *newNode("n2", 0, nil), *newNode("n3", 0, nil), *newNode("n4", 0, nil)}
	old, young := *newPeer("z-old", "192.0.2.9", nil), *newPeer("a-young", "192.0.2.9", byLabel("rack", "r1"))
	young.CreationTimestamp = metav1.NewTime(born.Add(time.Minute))
	apart := *newPeer("apart", "192.0.2.9", byLabel("rack", "r7"))
	for _, c := range []struct {
		name       string
		peer       string
		peers      []v1alpha1.BGPPeer
		states     []v1alpha1.NodeState
		want       string
		wanted, up int64
		says       map[string]string
	}{
		{name: "no report", peer: "z-old", peers: []v1alpha1.BGPPeer{old}, wanted: 4, want: "Established=False/SessionsDown Ready=True/Accepted", says: map[string]string{"Established": "node n1: no error reported yet"}},
		{
			name: "most common error, its first node", peer: "z-old", peers: []v1alpha1.BGPPeer{old}, wanted: 4, up: 1, want: "Established=False/SessionsDown Ready=True/Accepted",
			states: []v1alpha1.NodeState{report("n1", session("z-old", "Idle", "rare")), report("n2", session("z-old", "Active", "often")), report("n3", session("z-old", "Active", "often")), report("n4", session("z-old", "Established", "of earlier"))},
			says:   map[string]string{"Established": "1 of 4 sessions are established with spec.address 192.0.2.9, spec.asNumber 65001; node n2: often"},
		},
		{
			name: "all up; gone and other nodes' sessions do not count", peer: "a-young", peers: []v1alpha1.BGPPeer{young}, wanted: 1, up: 1, want: "Established=True/AllEstablished Ready=True/Accepted",
			states: []v1alpha1.NodeState{report("n1", session("a-young", "Established", "")), report("n2", session("a-young", "Established", "")), report("gone", session("a-young", "Established", ""))},
		},
		{
			name: "two of one address: the younger", peer: "a-young", peers: []v1alpha1.BGPPeer{young, old}, wanted: 1, want: "Established=False/SessionsDown Ready=False/DuplicateAddress",
			says: map[string]string{"Ready": "spec.address 192.0.2.9 is that of BGPPeer/z-old too, and both select node n1"},
		},
		{name: "two of one address: the older", peer: "z-old", peers: []v1alpha1.BGPPeer{young, old}, wanted: 4, want: "Established=False/SessionsDown Ready=True/Accepted"},
		{name: "one address on different nodes", peer: "apart", peers: []v1alpha1.BGPPeer{young, apart}, want: "Established=False/NoNodeSelected Ready=True/Accepted"},
		{name: "selector", peer: "bad", peers: []v1alpha1.BGPPeer{*newPeer("bad", "192.0.2.9", wrong()), old}, want: "Established=False/NoNodeSelected Ready=False/InvalidSelector"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &State{Now: now, Nodes: nodes, Peers: c.peers, NodeStates: c.states}
			slices.SortFunc(s.Peers, func(a, b v1alpha1.BGPPeer) int { return cmp.Compare(a.Name, b.Name) })
			got := decidePeers(s)[c.peer]
			if diff := gocmp.Diff(c.want, brief(got.Conditions)); diff != "" {
				t.Errorf("conditions (-want +got):\n%s", diff)
			}
			if got.SessionsWanted != c.wanted || got.SessionsEstablished != c.up {
				t.Errorf("%d of %d up, want %d of %d", got.SessionsEstablished, got.SessionsWanted, c.up, c.wanted)
			}
			for kind, want := range c.says {
				if m := message(t, got.Conditions, kind); !strings.Contains(m, want) {
					t.Errorf("%s says %q, want %q", kind, m, want)
				}
			}
		})
	}
}

func TestGovern(t *testing.T) {
	some := byLabel("rack", "r1")
	some.MatchExpressions = exists("role").MatchExpressions
	s := &State{
		Nodes: []corev1.Node{*newNode("both", 0, map[string]string{"rack": "r1", "role": "x"}), *newNode("none", 0, nil), *newNode("r1", 0, rack("r1"))},
		Configs: []v1alpha1.BGPConfiguration{
			*newConfig("a-all", 1, nil), *newConfig("b-all", 2, &metav1.LabelSelector{}), *newConfig("bad", 3, wrong()),
			*newConfig("c-rack", 4, byLabel("rack", "r1")), *newConfig("d-most", 5, some), *newConfig("e-role", 6, byLabel("role", "x")),
		},
	}
	gov := govern(s)
	got := map[string]string{}
	for node, c := range gov.of {
		got[node] = c.Name
	}
	if diff := gocmp.Diff(map[string]string{"both": "d-most", "none": "a-all", "r1": "c-rack"}, got); diff != "" {
		t.Errorf("governed by (-want +got):\n%s", diff)
	}
	// c-rack and e-role are as specific for "both", but neither governs it.
	statuses := decideConfigs(s)
	for name, want := range map[string]string{
		"a-all": "AddressesAccepted=True/Accepted Conflict=True/SameSpecificity Ready=True/Accepted", "b-all": "AddressesAccepted=True/Accepted Conflict=True/SameSpecificity Ready=True/Accepted",
		"bad": "AddressesAccepted=True/Accepted Conflict=False/NoConflict Ready=False/InvalidSelector", "c-rack": "AddressesAccepted=True/Accepted Conflict=False/NoConflict Ready=True/Accepted",
		"d-most": "AddressesAccepted=True/Accepted Conflict=False/NoConflict Ready=True/Accepted", "e-role": "AddressesAccepted=True/Accepted Conflict=False/NoConflict Ready=True/Accepted",
	} {
		if diff := gocmp.Diff(want, brief(statuses[name].Conditions)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if m := message(t, statuses["b-all"].Conditions, "Conflict"); !strings.Contains(m, "BGPConfiguration/a-all") || !strings.Contains(m, "node none") {
		t.Errorf("message %q names not both", m)
	}
}

func TestNameSome(t *testing.T) {
	if got := nameSome([]string{"a", "b"}); got != "a, b" {
		t.Error(got)
	}
	if got := nameSome([]string{"a", "b", "c", "d", "e", "f", "g"}); got != "a, b, c, d, e and 2 more" {
		t.Error(got)
	}
}
