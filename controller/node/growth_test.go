package node_test

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/cniplugin/store"
)

// growing is a rig whose block is of a pool that may give more.
func growing(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.intents.in.Pools = []v1alpha1.IPPool{{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: "up"}, Spec: v1alpha1.IPPoolSpec{CIDR: "10.244.0.0/16"}}}
	r.intents.in.Blocks[0].Spec.PoolUID = "up"
	return r
}

// grant leases another block of the pool to the node.
func (r *rig) grant(cidr netip.Prefix) {
	r.intents.Lock()
	defer r.intents.Unlock()
	b := v1alpha1.IPBlock{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.BlockName(cidr), UID: types.UID(cidr.String())},
		Spec:       v1alpha1.IPBlockSpec{CIDR: cidr.String(), PoolName: "p", PoolUID: "up", State: v1alpha1.BlockLeased},
	}
	r.intents.in.Blocks = append(slices.Clone(r.intents.in.Blocks), b)
}

// use makes the block's first n addresses those of living pods, and no other.
func (r *rig) use(t *testing.T, n int) {
	t.Helper()
	var pods []string
	for i := range n {
		pods = append(pods, fmt.Sprintf("fl%d", i))
	}
	r.links.Lock()
	r.links.pods = pods
	r.links.Unlock()
	if err := r.store.Update(func(s *store.State) error {
		s.Allocations = nil
		a := own.Addr()
		for _, veth := range pods {
			s.Allocations = append(s.Allocations, store.Allocation{Address: a, Kind: store.KindPod, ContainerID: veth, IfName: "eth0", HostVeth: veth})
			a = a.Next()
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) wants(t *testing.T, what string, count int64) {
	t.Helper()
	want := []v1alpha1.WantedBlocks{{Pool: "p", PoolUID: "up", Count: count}}
	if got := r.View().State.WantedBlocks; !slices.Equal(got, want) {
		t.Errorf("%s: wants %+v, want %+v", what, got, want)
	}
}

func (r *rig) says(t *testing.T, what, kind, reason, text string) {
	t.Helper()
	c := meta.FindStatusCondition(r.View().State.Conditions, kind)
	if c == nil || c.Reason != reason || !strings.Contains(c.Message, text) {
		t.Errorf("%s: %+v, want %s with %q", what, c, reason, text)
	}
}

// A node asks before its pods need it, announces what it is given, and asks no
// more then.
func TestGrowth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := growing(t)
		r.start(t)
		r.wants(t, "at first", 1)
		r.use(t, 50)
		r.settle()
		r.wants(t, "when low", 2)
		r.says(t, "when low", v1alpha1.ConditionAddressesAvailable, "Low", "14 IPv4 addresses are free: another block of IPPool/p is asked for")
		if r.View().BlocksAsked != 1 {
			t.Errorf("%d blocks asked for", r.View().BlocksAsked)
		}
		r.use(t, 64)
		r.settle()
		r.says(t, "when full", v1alpha1.ConditionAddressesAvailable, "Exhausted", "another block of IPPool/p is asked for")
		r.grant(away)
		r.settle()
		r.wants(t, "with a second", 2)
		equal(t, "announced", r.announced(), own, away)
		equal(t, "kernel", r.kernel.prefixes(t), own, away)
		r.says(t, "with a second", v1alpha1.ConditionAddressesAvailable, "Available", "64 in use")
		if r.View().BlocksAsked != 0 {
			t.Errorf("%d blocks asked for", r.View().BlocksAsked)
		}
	})
}

// An agent that was away while its node filled up asks at its first sync, and
// says when the pool gives no more.
func TestGrowthAfterALongAbsence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := growing(t)
		r.intents.in.Pools[0].Spec.MaxBlocksPerNode = new(int32(1))
		r.use(t, 64)
		r.run(t)
		time.Sleep(time.Second)
		synctest.Wait()
		r.wants(t, "at its first sync", 2)
		r.says(t, "at the maximum", v1alpha1.ConditionAddressesAvailable, "Exhausted", "no more than 1 blocks (spec.maxBlocksPerNode); delete pods, raise")
	})
}

// A block that has long been empty is closed before it is given back, and opened
// again if pods come to need it.
func TestBlockGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := growing(t)
		r.grant(away)
		r.use(t, 10)
		r.start(t)
		for _, tor := range []netip.Addr{tor1, tor2} {
			r.speaker.Establish(tor)
			r.speaker.EndOfRIB(tor)
		}
		time.Sleep(8 * time.Minute)
		r.settle()
		r.wants(t, "after eight minutes", 2)
		time.Sleep(4 * time.Minute) // resyncs alone
		synctest.Wait()
		r.wants(t, "after twelve", 1)
		st := r.View().State
		if len(st.Blocks) != 2 || st.Blocks[0].Closed || !st.Blocks[1].Closed || !st.Blocks[1].Advertised {
			t.Errorf("blocks %+v, want the second closed, and still announced", st.Blocks)
		}
		if s, _ := r.store.Read(); s.Leases[0].Closed || !s.Leases[1].Closed {
			t.Errorf("store: %+v", s.Leases)
		}

		r.use(t, 55)
		r.settle()
		r.wants(t, "when pods need it", 2)
		if s, _ := r.store.Read(); s.Leases[1].Closed {
			t.Errorf("store: %+v", s.Leases)
		}
		r.use(t, 10)
		r.settle()
		r.wants(t, "when they are gone", 1) // empty all the time

		r.intents.Lock()
		r.intents.in.Blocks[1].Spec.State = v1alpha1.BlockDraining
		r.intents.Unlock()
		r.settle()
		equal(t, "announced at the end", r.announced(), own)
		equal(t, "kernel at the end", r.kernel.prefixes(t), own)
		if got := r.View().State.ReleasedBlocks; !slices.Equal(got, []string{away.String()}) {
			t.Errorf("released: %v", got)
		}
		r.wants(t, "at the end", 1)
	})
}

// A block of a pool that is not advertised is in the store, and nowhere else: it
// serves no pod, so the node has none to serve them from.
func TestIPAMOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := growing(t)
		r.intents.in.Ranges[0].IPAMOnly = true
		r.setBlock(func(b *v1alpha1.IPBlock) { b.Spec.IPAMOnly = true })
		r.start(t)
		r.converge() // both ToRs announce a part of the range
		equal(t, "announced", r.announced())
		equal(t, "kernel", r.kernel.prefixes(t))
		for _, peer := range r.speaker.Applied()[len(r.speaker.Applied())-1].Peers {
			if len(peer.Accept) > 0 {
				t.Errorf("accepts %v from %s", peer.Accept, peer.Address)
			}
		}
		if s, _ := r.store.Read(); len(s.Leases) != 1 || !s.Leases[0].IPAMOnly || s.Leases[0].Closed {
			t.Errorf("store: %+v", s.Leases)
		}
		r.says(t, "alone", v1alpha1.ConditionAddressesAvailable, "NoBlock", "for pods")
		r.says(t, "alone", v1alpha1.ConditionReady, "NoBlock", "advertise true")
		st := r.View().State
		if len(st.Blocks) != 1 || !st.Blocks[0].IPAMOnly || st.Blocks[0].Programmed || st.Blocks[0].Advertised {
			t.Errorf("blocks: %+v", st.Blocks)
		}
		if st.Routes != (v1alpha1.RouteCounts{}) {
			t.Errorf("routes: %+v", st.Routes)
		}
		r.grant(netip.MustParsePrefix("10.245.0.0/26"))
		r.settle()
		r.says(t, "with one for pods", v1alpha1.ConditionReady, "Synced", "1 blocks programmed")
		r.says(t, "with one for pods", v1alpha1.ConditionAddressesAvailable, "Available", "")
	})
}

// A store that was removed under attachments of other plugins is made anew with
// the addresses that their namespaces have, and gives none out before.
func TestAttachmentsOutliveTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := growing(t)
		r.setBlock(func(b *v1alpha1.IPBlock) { b.Spec.IPAMOnly = true })
		folder := t.TempDir()
		r.foundErr = errors.New("not permitted")
		r.found = []store.Found{
			{Netns: filepath.Join(folder, "not-there", "a"), NetnsInode: 4, Addresses: []netip.Addr{away.Addr(), own.Addr()}},
			{Netns: filepath.Join(folder, "not-there", "b"), NetnsInode: 5, Addresses: []netip.Addr{own.Addr(), own.Addr().Next()}},
		}
		r.start(t)
		if s, _ := r.store.Read(); len(s.Leases) > 0 {
			t.Errorf("leases %+v while nobody knows what is in use", s.Leases)
		}
		r.says(t, "until then", v1alpha1.ConditionReady, "SyncFailed", "not permitted")
		r.foundErr = nil
		r.settle()
		s, _ := r.store.Read()
		var got []string
		for _, a := range s.Allocations {
			got = append(got, fmt.Sprintf("%s %s %d", a.Kind, a.Address, a.NetnsInode))
		}
		if want := []string{"ipam 10.244.0.0 4", "ipam 10.244.0.1 5"}; !slices.Equal(got, want) {
			t.Errorf("holds %v, want %v", got, want)
		}
		if len(s.Leases) != 1 || r.View().State.Blocks[0].Used != 2 {
			t.Errorf("store: %+v, reported: %+v", s.Leases, r.View().State.Blocks)
		}
		r.found[1].Addresses = append(r.found[1].Addresses, nthAfter(own.Addr(), 9))
		r.settle() // what the store has a lease of is its own to know
		if s, _ := r.store.Read(); len(s.Allocations) != 2 {
			t.Errorf("holds %+v", s.Allocations)
		}
	})
}

func nthAfter(a netip.Addr, n int) netip.Addr {
	for range n {
		a = a.Next()
	}
	return a
}
