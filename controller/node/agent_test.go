package node_test

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"fairlead.dev/api/v1alpha1"
	bgpfake "fairlead.dev/bgp/fake"
	"fairlead.dev/cniplugin/install"
	"fairlead.dev/cniplugin/store"
	"fairlead.dev/controller/node"
	"fairlead.dev/controller/plan"
	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/fake"
)

var (
	own  = netip.MustParsePrefix("10.244.0.0/26")
	away = netip.MustParsePrefix("10.244.0.64/26")
	old  = netip.MustParsePrefix("10.244.0.128/26")
	tor1 = netip.MustParseAddr("10.1.0.1")
	tor2 = netip.MustParseAddr("10.1.0.2")
)

// rig is an agent over a speaker and a kernel that the test plays, and a real
// address store. It runs in a bubble of fake time.
type rig struct {
	*node.Agent
	speaker *bgpfake.Speaker
	kernel  *kernel
	store   *store.Store
	dir     string // the store's
	intents *intents
	links   *links
	// found, or foundErr, is in the pods' namespaces.
	found    []store.Found
	foundErr error
	inUse    inUse
	runtime  *criRuntime
	filter   packetFilter
	overlay  *fake.Overlay
}

// criRuntime is told that the node is ready.
type criRuntime struct {
	sync.Mutex
	ready   []bool // as it was told, without repetitions
	found   install.Found
	removed bool // by somebody, each time
	failure error
}

func (r *criRuntime) Keep(ready bool) (install.Found, error) {
	r.Lock()
	defer r.Unlock()
	if n := len(r.ready); n == 0 || r.ready[n-1] != ready {
		r.ready = append(r.ready, ready)
	}
	if ready && !r.found.Installed {
		r.found.Touched = time.Now()
	}
	r.found.Installed = (r.found.Installed || ready) && !r.removed
	return r.found, r.failure
}

// kernel is the fake table, and notes what was announced when a route went.
type kernel struct {
	fake.Table
	speaker   *bgpfake.Speaker
	applies   int
	atPruning [][]netip.Prefix
}

func (k *kernel) Apply(want []dataplane.Route, prune bool) (dataplane.Result, error) {
	k.applies++
	before, _ := k.List()
	result, err := k.Table.Apply(want, prune)
	if after, _ := k.List(); len(after) < len(before) {
		applied := k.speaker.Applied()
		k.atPruning = append(k.atPruning, applied[len(applied)-1].Announce)
	}
	return result, err
}

func (k *kernel) prefixes(t *testing.T) []netip.Prefix {
	t.Helper()
	routes, err := k.List()
	if err != nil {
		t.Fatal(err)
	}
	var out []netip.Prefix
	for _, r := range routes {
		out = append(out, r.Prefix)
	}
	return out
}

// packetFilter is the table that the test plays.
type packetFilter struct {
	sync.Mutex
	nat     plan.NAT
	applied []dataplane.Filter
	// before is run at each Apply.
	before  func()
	failure error
}

func (f *packetFilter) Look() (plan.NAT, error) {
	f.Lock()
	defer f.Unlock()
	return f.nat, nil
}

func (f *packetFilter) Apply(want dataplane.Filter) error {
	f.Lock()
	defer f.Unlock()
	if f.before != nil {
		f.before()
	}
	if f.failure != nil {
		return f.failure
	}
	f.nat.Held = want
	f.applied = append(f.applied, want)
	return nil
}

type intents struct {
	sync.Mutex
	in    plan.Intent
	known bool
}

func (i *intents) Current(context.Context) (plan.Intent, node.Source, bool) {
	i.Lock()
	defer i.Unlock()
	in := i.in
	in.Blocks, in.Peers = slices.Clone(in.Blocks), slices.Clone(in.Peers)
	return in, node.FromAPI, i.known
}

type links struct {
	sync.Mutex
	pods     []string
	prepared int
	mtu      uint32 // of the uplinks, 0 is 1500
	// candidates, or lookErr, are what a rule finds, and asked is by which.
	candidates []netip.Addr
	lookErr    error
	asked      dataplane.AddressRule
	failure    error
	hang       chan struct{} // of Pods, until it is closed; nil is none
	// routed, or routedErr, are the kernel's routes to pods.
	routed    []dataplane.PodRoute
	routedErr error
}

func (l *links) PodRoutes() ([]dataplane.PodRoute, error) {
	l.Lock()
	defer l.Unlock()
	return l.routed, l.routedErr
}

func (l *links) Prepare() error {
	l.Lock()
	defer l.Unlock()
	l.prepared++
	return l.failure
}

func (l *links) UplinkMTU() (uint32, error) {
	l.Lock()
	defer l.Unlock()
	return cmp.Or(l.mtu, 1500), nil
}

func (l *links) Addresses() ([]netip.Prefix, error) {
	return []netip.Prefix{netip.MustParsePrefix("10.1.0.11/24")}, nil
}

func (l *links) Candidates(r dataplane.AddressRule) ([]netip.Addr, error) {
	l.Lock()
	defer l.Unlock()
	l.asked = r
	return l.candidates, l.lookErr
}

func (l *links) Pods() ([]string, error) {
	l.Lock()
	pods, hang := l.pods, l.hang
	l.Unlock()
	if hang != nil {
		<-hang
	}
	return pods, nil
}

// newRig has one block and two ToRs. kept are routes of an earlier agent.
func newRig(t *testing.T, kept ...dataplane.Route) *rig {
	t.Helper()
	dir := t.TempDir()
	s, _, err := store.Create(dir, nil, store.Stamp{})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{speaker: bgpfake.New(), store: s, dir: dir, links: &links{}, runtime: &criRuntime{}, overlay: &fake.Overlay{}, intents: &intents{known: true, in: plan.Intent{
		Node: v1alpha1.BGPNode{
			ObjectMeta: metav1.ObjectMeta{Name: "n1"},
			Spec:       v1alpha1.BGPNodeSpec{NodeUID: "u", ASNumber: 65101, RouterID: "10.1.0.11", ListenPort: 179, GracefulRestartSeconds: 120},
		},
		Ranges: []v1alpha1.AddressPlanEntry{{CIDR: "10.244.0.0/16", BlockSize: 26}},
		Blocks: []v1alpha1.IPBlock{{
			ObjectMeta: metav1.ObjectMeta{Name: "10.244.0.0-26", UID: types.UID("b1")},
			Spec:       v1alpha1.IPBlockSpec{CIDR: own.String(), PoolName: "p", State: v1alpha1.BlockLeased},
		}},
		Peers: []v1alpha1.BGPPeer{torPeer("tor1", tor1), torPeer("tor2", tor2)},
	}}}
	r.kernel = &kernel{speaker: r.speaker}
	if _, err := r.kernel.Table.Apply(kept, false); err != nil {
		t.Fatal(err)
	}
	r.Agent = node.New(node.Options{
		Name: "n1", SyncInterval: 100 * time.Millisecond, ResyncInterval: time.Minute, EndOfRIBTimeout: 2 * time.Minute,
		Attached: func() ([]store.Found, error) { return r.found, r.foundErr },
		InUse:    r.inUse.search,
		VXLAN:    dataplane.VXLAN{VNI: 4096, Port: 4789},
		Logger:   slog.New(slog.DiscardHandler),
	}, node.Ports{Intents: r.intents, Speaker: r.speaker, Routes: r.kernel, Store: r.store, Links: r.links, Filter: &r.filter, Runtime: r.runtime, Overlay: r.overlay})
	return r
}

func torPeer(name string, a netip.Addr) v1alpha1.BGPPeer {
	return v1alpha1.BGPPeer{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.BGPPeerSpec{Address: a.String(), ASNumber: 65001, HoldTimeSeconds: 30, KeepaliveSeconds: 10, ConnectRetrySeconds: 5},
	}
}

// start runs the agent and lets it settle.
func (r *rig) start(t *testing.T) {
	t.Helper()
	r.run(t)
	r.settle()
}

// run runs the agent until the test ends.
func (r *rig) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

// settle lets the agent sync after a wake-up, and after what that leads to.
func (r *rig) settle() {
	for range 3 {
		r.Wake()
		time.Sleep(time.Second)
		synctest.Wait()
	}
}

func (r *rig) announced() []netip.Prefix {
	applied := r.speaker.Applied()
	if len(applied) == 0 {
		return nil
	}
	return applied[len(applied)-1].Announce
}

func (r *rig) reason(kind string) string {
	c := meta.FindStatusCondition(r.View().State.Conditions, kind)
	if c == nil {
		return ""
	}
	return c.Reason
}

func (r *rig) setBlock(change func(*v1alpha1.IPBlock)) {
	r.intents.Lock()
	defer r.intents.Unlock()
	r.intents.in.Blocks = slices.Clone(r.intents.in.Blocks)
	change(&r.intents.in.Blocks[0])
}

func learned(p netip.Prefix, hops ...netip.Addr) dataplane.Route {
	return dataplane.Route{Prefix: p, NextHops: hops}
}

func equal(t *testing.T, what string, got []netip.Prefix, want ...netip.Prefix) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestNothingIsAnnouncedBeforeItIsProgrammed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.kernel.Refuse(own, errors.New("a static route is there"))
		r.start(t)
		equal(t, "announced", r.announced())
		if r.reason(v1alpha1.ConditionReady) != "BlockNotProgrammed" || r.reason(v1alpha1.ConditionRoutesInSync) != "RoutesFailed" {
			t.Errorf("conditions: %+v", r.View().State.Conditions)
		}
		if r.Ready() == nil {
			t.Error("ready without its block")
		}
		r.kernel.Refuse(own, nil)
		r.settle()
		equal(t, "announced", r.announced(), own)
		if err := r.Ready(); err != nil {
			t.Error(err)
		}
	})
}

func TestNothingIsDoneBeforeAnythingIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, learned(old, tor1))
		r.intents.known = false
		r.start(t)
		time.Sleep(time.Hour)
		synctest.Wait()
		equal(t, "kernel", r.kernel.prefixes(t), old)
		if len(r.speaker.Applied()) > 0 || r.reason(v1alpha1.ConditionReady) != "NoBGPNode" {
			t.Errorf("applied %v, conditions %+v", r.speaker.Applied(), r.View().State.Conditions)
		}
	})
}

func TestRestartKeepsRoutesUntilEveryEndOfRIB(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, learned(away, tor1, tor2), learned(old, tor1))
		r.start(t)
		if !r.speaker.Applied()[0].Global.Restarting {
			t.Error("the speaker does not know that routes survived")
		}
		equal(t, "first announcement", r.speaker.Applied()[0].Announce, own)
		equal(t, "kernel before sessions", r.kernel.prefixes(t), own, away, old)

		r.speaker.Establish(tor1)
		r.speaker.Receive(tor1, away, tor1)
		r.speaker.EndOfRIB(tor1)
		r.settle()
		equal(t, "kernel after the first End-of-RIB", r.kernel.prefixes(t), own, away, old)

		r.speaker.Establish(tor2)
		r.speaker.EndOfRIB(tor2)
		r.settle()
		equal(t, "kernel after the last", r.kernel.prefixes(t), own, away)
	})
}

func TestRestartWithASilentPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, learned(old, tor1))
		r.start(t)
		time.Sleep(90 * time.Second)
		synctest.Wait()
		equal(t, "before the timeout", r.kernel.prefixes(t), own, old)
		time.Sleep(time.Minute)
		synctest.Wait()
		equal(t, "after it", r.kernel.prefixes(t), own)
	})
}

// Another AS resets every session: what was learned stays until it is learned anew.
func TestNewGlobalsKeepRoutesUntilEveryEndOfRIB(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start(t)
		r.converge()
		equal(t, "kernel", r.kernel.prefixes(t), own, away)
		r.intents.Lock()
		r.intents.in.Node.Spec.ASNumber = 65102
		r.intents.Unlock()
		r.settle()
		if routes, _ := r.speaker.Routes(); len(routes) != 0 {
			t.Fatalf("the speaker did not start anew: %v", routes)
		}
		equal(t, "kernel while sessions come back", r.kernel.prefixes(t), own, away)
		for _, tor := range []netip.Addr{tor1, tor2} {
			r.speaker.Establish(tor)
			r.speaker.EndOfRIB(tor)
		}
		r.settle()
		equal(t, "kernel when they are back without it", r.kernel.prefixes(t), own)
	})
}

func TestFirstStartIsNoRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start(t)
		if r.speaker.Applied()[0].Global.Restarting {
			t.Error("restart state without a route that survived")
		}
	})
}

func TestLearnedRoutesFollowTheRIB(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start(t)
		r.converge()
		routes, _ := r.kernel.List()
		if len(routes) != 2 || !slices.Equal(routes[1].NextHops, []netip.Addr{tor1, tor2}) {
			t.Errorf("ECMP: %v", routes)
		}
		r.speaker.Withdraw(tor1, away)
		r.settle()
		routes, _ = r.kernel.List()
		if len(routes) != 2 || !slices.Equal(routes[1].NextHops, []netip.Addr{tor2}) {
			t.Errorf("one ToR: %v", routes)
		}
		r.speaker.Restart(tor2)
		r.settle()
		equal(t, "kernel while the ToR restarts", r.kernel.prefixes(t), own, away)
		r.speaker.Down(tor2, "hold timer expired")
		r.settle()
		equal(t, "kernel without it", r.kernel.prefixes(t), own)
	})
}

// A Draining block ends in this order: closed, empty, withdrawn, unprogrammed, released.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start(t)
		for _, tor := range []netip.Addr{tor1, tor2} {
			r.speaker.Establish(tor)
			r.speaker.EndOfRIB(tor)
		}
		pod := store.Attachment{ContainerID: "c1", IfName: "eth0"}
		r.links.pods = []string{"flpod"}
		if err := r.store.Update(func(s *store.State) error {
			s.Allocations = []store.Allocation{{Address: own.Addr(), Kind: store.KindPod, ContainerID: "c1", IfName: "eth0", HostVeth: "flpod"}}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		r.setBlock(func(b *v1alpha1.IPBlock) { b.Spec.State = v1alpha1.BlockDraining })
		r.settle()
		s, _ := r.store.Read()
		if len(s.Leases) != 1 || !s.Leases[0].Closed {
			t.Fatalf("lease is not closed: %+v", s.Leases)
		}
		equal(t, "announced while a pod lives", r.announced(), own)
		if got := r.View().State.ReleasedBlocks; len(got) > 0 {
			t.Fatalf("released with a pod: %v", got)
		}

		r.links.Lock()
		r.links.pods = nil
		r.links.Unlock()
		if err := r.store.Update(func(s *store.State) error { s.Free(pod, store.Stamp{}); return nil }); err != nil {
			t.Fatal(err)
		}
		r.settle()
		equal(t, "announced at the end", r.announced())
		equal(t, "kernel at the end", r.kernel.prefixes(t))
		if len(r.kernel.atPruning) != 1 {
			t.Fatalf("deletions: %v", r.kernel.atPruning)
		}
		equal(t, "announced when unprogrammed", r.kernel.atPruning[0])
		if got := r.View().State.ReleasedBlocks; !slices.Equal(got, []string{"b1"}) {
			t.Errorf("released: %v", got)
		}
		if s, _ := r.store.Read(); len(s.Leases) != 0 {
			t.Errorf("store: %+v", s.Leases)
		}
	})
}

// A block is not reported released while its announcement could not be taken back.
func TestDrainWithAFailingSpeaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start(t)
		for _, tor := range []netip.Addr{tor1, tor2} {
			r.speaker.Establish(tor)
			r.speaker.EndOfRIB(tor)
		}
		r.settle()
		r.speaker.Fail(errors.New("engine is stuck"))
		r.setBlock(func(b *v1alpha1.IPBlock) { b.Spec.State = v1alpha1.BlockDraining })
		r.settle()
		equal(t, "kernel", r.kernel.prefixes(t), own)
		if got := r.View().State.ReleasedBlocks; len(got) > 0 {
			t.Errorf("released: %v", got)
		}
		if r.reason(v1alpha1.ConditionReady) != "SyncFailed" {
			t.Errorf("conditions: %+v", r.View().State.Conditions)
		}
	})
}

func TestFailedSyncIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.speaker.Fail(errors.New("port 179 is taken"))
		r.start(t)
		if r.Ready() == nil {
			t.Error("ready without BGP")
		}
		r.speaker.Fail(nil)
		time.Sleep(10 * time.Second) // no wake-up: backoff alone, well below the resync
		synctest.Wait()
		if err := r.Ready(); err != nil {
			t.Error(err)
		}
	})
}

// An interrupted dump is no empty one.
func TestInterruptedDump(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start(t)
		r.kernel.RefuseDump(errors.New("dump interrupted"))
		r.settle()
		equal(t, "announced", r.announced(), own)
		r.kernel.RefuseDump(nil)
		r.settle()
		equal(t, "kernel", r.kernel.prefixes(t), own)
	})
}

func TestLeakedAddressIsFreed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.links.pods = []string{"fllive"}
		if err := r.store.Update(func(s *store.State) error {
			s.SetLeases([]store.Lease{{CIDR: own, UID: "b1"}})
			s.Allocations = []store.Allocation{
				{Address: own.Addr(), Kind: store.KindPod, ContainerID: "live", IfName: "eth0", HostVeth: "fllive"},
				{Address: own.Addr().Next(), Kind: store.KindPod, ContainerID: "dead", IfName: "eth0", HostVeth: "fldead"},
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		r.start(t)
		s, _ := r.store.Read()
		if len(s.Allocations) != 1 || s.Allocations[0].ContainerID != "live" {
			t.Errorf("allocations: %+v", s.Allocations)
		}
	})
}

// The addresses of other plugins' attachments know no link of ours: they are
// freed with their namespace, and kept while nothing is known of it.
func TestLeakedAttachmentIsFreed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		now, err := store.Now()
		if err != nil {
			t.Fatal(err)
		}
		folder := t.TempDir()
		held := func(n int, netns string, at time.Duration) store.Allocation {
			return store.Allocation{
				Address: netip.AddrFrom4([4]byte{10, 9, 0, byte(n)}), Kind: store.KindIPAM, ContainerID: netns, IfName: "net1",
				Netns: netns, NetnsInode: 7, BootID: now.BootID, At: at,
			}
		}
		if err := r.store.Update(func(s *store.State) error {
			s.SetLeases([]store.Lease{{CIDR: own, UID: "b1"}})
			s.Allocations = []store.Allocation{
				held(1, filepath.Join(folder, "gone"), now.At-time.Second),
				held(2, filepath.Join(folder, "not-there", "unknown"), now.At-time.Second),
				held(3, filepath.Join(folder, "about-to-be"), now.At+time.Hour),
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		r.start(t)
		s, _ := r.store.Read()
		if len(s.Allocations) != 2 || s.Allocations[0].Address.As4()[3] != 2 || s.Allocations[1].Address.As4()[3] != 3 {
			t.Errorf("allocations: %+v", s.Allocations)
		}
	})
}
