package behaviour

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"testing"

	cnitypes "github.com/containernetworking/cni/pkg/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/hack/lab/topology"
)

// carve creates a pool of small blocks for n1 and n3 and returns their blocks
// once all routers and both kernels have them.
func (s *scene) carve(t *testing.T, name, cidr string) (p *v1alpha1.IPPool, n1, n3 netip.Prefix) {
	t.Helper()
	p = newPool(name, cidr, 28, "n1", "n3")
	s.create(t, p)
	inside := netip.MustParsePrefix(cidr)
	s.eventually(t, "blocks of "+name, func(ctx context.Context) error {
		of, err := s.blocks(ctx, name)
		if err != nil {
			return err
		}
		if len(of) != 2 {
			return fmt.Errorf("nodes with blocks: %d, want n1 and n3", len(of))
		}
		for node, at := range map[string]*netip.Prefix{"n1": &n1, "n3": &n3} {
			if *at, err = netip.ParsePrefix(of[node].Spec.CIDR); err != nil {
				return fmt.Errorf("block of %s: %w", node, err)
			}
			if err := s.hasBlackholes(ctx, node, inside, *at); err != nil {
				return err
			}
		}
		return s.everywhere(ctx, inside, n1, n3)
	})
	return p, n1, n3
}

// poolCarved is about cidr, blockSize and nodeSelector, for both families.
func (s *scene) poolCarved(t *testing.T) {
	p, n1, n3 := s.carve(t, "small", "10.99.0.0/24")
	six := newPool("small-v6", "fd00:99::/120", 124, "n2")
	s.create(t, six)
	for _, b := range []netip.Prefix{n1, n3} {
		if b.Bits() != 28 || !netip.MustParsePrefix("10.99.0.0/24").Contains(b.Addr()) {
			t.Errorf("block %s is no /28 of the pool", b)
		}
	}
	var v6 netip.Prefix
	s.eventually(t, "IPv6 block", func(ctx context.Context) error {
		of, err := s.blocks(ctx, six.Name)
		if err != nil || len(of) != 1 {
			return fmt.Errorf("%d blocks, want one of n2: %w", len(of), errors.Join(err))
		}
		v6 = netip.MustParsePrefix(of["n2"].Spec.CIDR)
		return errors.Join(s.everywhere(ctx, netip.MustParsePrefix("fd00:99::/64"), v6), s.hasBlackholes(ctx, "n2", netip.MustParsePrefix("fd00:99::/64"), v6))
	})
	if v6.Bits() != 124 {
		t.Errorf("block %s is no /124", v6)
	}
	for _, node := range []string{"n2", "n4"} {
		if err := s.hasBlackholes(t.Context(), node, netip.MustParsePrefix("10.99.0.0/16")); err != nil {
			t.Error(err)
		}
	}
	// The lowest free address is in the new blocks.
	pod := s.addPod(t, "n1", "carved")
	if !n1.Contains(pod.Address(topology.V4)) {
		t.Errorf("pod has %s, want one of %s", pod.Address(topology.V4), n1)
	}
	s.answered(t, s.c, pod.Address(topology.V4))
	far := s.addPod(t, "n2", "carved6")
	if !v6.Contains(far.Address(topology.V6)) && !s.block(t, "n2", "pods-v6").Contains(far.Address(topology.V6)) {
		t.Errorf("pod has %s", far.Address(topology.V6))
	}
	s.answered(t, s.c, far.Address(topology.V6))

	s.eventually(t, "status of the pool", func(ctx context.Context) error {
		if err := s.Client().Get(ctx, client.ObjectKeyFromObject(p), p); err != nil {
			return err
		}
		if st := p.Status; st.BlockCapacity != 16 || st.BlocksLeased != 2 || st.AddressesUsed != 1 {
			return fmt.Errorf("%+v, want 16 blocks, 2 leased, 1 address used", st)
		}
		return nil
	})
	s.plannedAs(t, p, 28)
	s.plannedAs(t, six, 124)
}

// plannedAs fails the test unless the AddressPlan holds the pool's range for it.
func (s *scene) plannedAs(t *testing.T, p *v1alpha1.IPPool, blockSize int32) {
	t.Helper()
	plan := &v1alpha1.AddressPlan{}
	if err := s.Client().Get(t.Context(), client.ObjectKey{Name: v1alpha1.AddressPlanName}, plan); err != nil {
		t.Fatal(err)
	}
	want := v1alpha1.AddressPlanEntry{CIDR: p.Spec.CIDR, BlockSize: blockSize, PoolName: p.Name, PoolUID: string(p.UID)}
	for _, e := range plan.Spec.Entries {
		if e == want {
			return
		}
	}
	t.Errorf("AddressPlan %+v has no %+v", plan.Spec.Entries, want)
}

// poolDrained is about state Draining, with a pod that lives on.
func (s *scene) poolDrained(t *testing.T) {
	const cidr = "10.99.1.0/24"
	inside := netip.MustParsePrefix(cidr)
	p, n1, _ := s.carve(t, "drained", cidr)
	lives := s.addPod(t, "n1", "lives")
	if !n1.Contains(lives.Address(topology.V4)) {
		t.Fatalf("pod has %s, want one of %s", lives.Address(topology.V4), n1)
	}
	s.answered(t, s.c, lives.Address(topology.V4))

	s.patch(t, p, `{"spec":{"state":"Draining"}}`)
	s.holds(t, p, v1alpha1.ConditionReady, metav1.ConditionTrue, "Draining")
	s.eventually(t, "end of the block without a pod", func(ctx context.Context) error {
		return errors.Join(s.everywhere(ctx, inside, n1), s.hasBlackholes(ctx, "n3", inside), s.blockState(ctx, p.Name, "n3", v1alpha1.BlockCooling))
	})
	s.answered(t, s.c, lives.Address(topology.V4))
	later := s.addPod(t, "n1", "later")
	if n1.Contains(later.Address(topology.V4)) {
		t.Errorf("a new pod has %s of the draining block %s", later.Address(topology.V4), n1)
	}
	s.eventually(t, "end of the cooling block", func(ctx context.Context) error { return s.blockState(ctx, p.Name, "n3", "") })
	if err := errors.Join(s.everywhere(t.Context(), inside, n1), s.hasBlackholes(t.Context(), "n1", inside, n1),
		s.blockState(t.Context(), p.Name, "n1", v1alpha1.BlockDraining)); err != nil {
		t.Errorf("while its pod lives: %v", err)
	}
	s.delPod(t, lives.Name)
	s.eventually(t, "end of the block after its pod", func(ctx context.Context) error {
		return errors.Join(s.everywhere(ctx, inside), s.hasBlackholes(ctx, "n1", inside), s.blockState(ctx, p.Name, "n1", v1alpha1.BlockCooling))
	})
	s.eventually(t, "end of the last block", func(ctx context.Context) error { return s.blockState(ctx, p.Name, "n1", "") })
	s.connected(t)
}

// blockState is nil while the node's block of the pool is in a state, "" for gone.
func (s *scene) blockState(ctx context.Context, pool, node string, want v1alpha1.BlockState) error {
	of, err := s.blocks(ctx, pool)
	if err != nil {
		return err
	}
	b := of[node]
	if b.Spec.State != want {
		return fmt.Errorf("block of %s is %q, want %q", node, b.Spec.State, want)
	}
	if (want == v1alpha1.BlockCooling) != (b.Spec.CoolingUntil != nil) {
		return fmt.Errorf("block of %s is %s until %v", node, want, b.Spec.CoolingUntil)
	}
	return nil
}

// blockIs is nil while the node reports the block so.
func (s *scene) blockIs(t *testing.T, node string, block netip.Prefix, programmed, advertised bool) error {
	t.Helper()
	for _, b := range s.state(t, node).Blocks {
		if b.CIDR == block.String() {
			if b.Programmed != programmed || b.Advertised != advertised {
				return fmt.Errorf("%+v, want programmed %v, advertised %v", b, programmed, advertised)
			}
			return nil
		}
	}
	return fmt.Errorf("%s reports no block %s", node, block)
}

// nodeExhausted is about reserved, and about a node whose every address is in use
// and that may have no other block.
func (s *scene) nodeExhausted(t *testing.T) {
	p, n1, _ := s.carve(t, "scarce", "10.99.2.0/24")
	before := s.addPod(t, "n1", "before")
	if before.Address(topology.V4) != n1.Addr() {
		t.Fatalf("first pod has %s, want the first of %s", before.Address(topology.V4), n1)
	}
	// All of n1's usual block, and all but the last two of its small one.
	s.change(t, pool("pods-v4"), fmt.Sprintf(`{"spec":{"maxBlocksPerNode":1,"reserved":[%q]}}`, s.block(t, "n1", "pods-v4")))
	last := []netip.Addr{nth(n1, 14), nth(n1, 15)}
	s.patch(t, p, fmt.Sprintf(`{"spec":{"maxBlocksPerNode":1,"reserved":["%s/29","%s/30","%s/31"]}}`, n1.Addr(), nth(n1, 8), nth(n1, 12)))
	s.eventually(t, "reserved in the node's store", func(context.Context) error {
		for _, b := range s.state(t, "n1").Blocks {
			// The addresses that are in use and reserved count as long as they are.
			if b.CIDR == n1.String() && b.Capacity != 2+1 || b.CIDR == s.block(t, "n1", "pods-v4").String() && b.Capacity != 1 {
				return fmt.Errorf("%+v", b)
			}
		}
		return nil
	})
	var got []netip.Addr
	for _, name := range []string{"last-1", "last-2"} {
		got = append(got, s.addPod(t, "n1", name).Address(topology.V4))
	}
	if got[0] != last[0] || got[1] != last[1] {
		t.Errorf("pods have %v, want what is not reserved: %v", got, last)
	}
	s.holds(t, nodeState("n1"), v1alpha1.ConditionAddressesAvailable, metav1.ConditionFalse, "Exhausted", "no IPv4 address is free", "IPPool/scarce gives a node no more than 1 blocks")

	_, err := s.AddPodOnce(t.Context(), "n1", "more")
	var refused *cnitypes.Error
	if !errors.As(err, &refused) || refused.Code != cnitypes.ErrTryAgainLater {
		t.Fatalf("ADD on a full node: %v, want code %d", err, cnitypes.ErrTryAgainLater)
	}
	t.Logf("ADD on a full node: %v", refused)
	s.says(t, "ADD", refused.Error(), "no free address", "IPv4", n1.String())
	s.answered(t, s.c, before.Address(topology.V4)) // keeps its address, though reserved
	s.answered(t, s.c, s.addPod(t, "n2", "elsewhere").Address(topology.V4))
	s.connected(t)
	if err := s.ready(t.Context(), "n1", 200, "ok"); err != nil {
		t.Error(err)
	}
	s.delPod(t, "last-1")
	more := s.addPod(t, "n1", "more")
	if more.Address(topology.V4) != got[0] {
		t.Errorf("the next pod has %s, want the freed %s", more.Address(topology.V4), got[0])
	}
	s.delPod(t, "last-2")
	s.holds(t, nodeState("n1"), v1alpha1.ConditionAddressesAvailable, metav1.ConditionTrue, "Low", "IPPool/scarce")
	s.unreserve(t)
}

// unreserve takes the reservation of n1's usual pool away, and returns when
// n1 asks for no other block of it: once it may, it would be given one.
func (s *scene) unreserve(t *testing.T) {
	t.Helper()
	const node = "n1"
	p := pool("pods-v4")
	s.patch(t, p, `{"spec":{"reserved":null}}`)
	s.eventually(t, node+" is content", func(context.Context) error {
		for _, w := range s.state(t, node).WantedBlocks {
			if w.Pool == p.Name && w.Count == 1 {
				return nil
			}
		}
		return fmt.Errorf("it wants %+v", s.state(t, node).WantedBlocks)
	})
}

// nth is the n-th address of a block, from 0.
func nth(block netip.Prefix, n int) netip.Addr {
	a := block.Addr()
	for range n {
		a = a.Next()
	}
	return a
}

// poolsDisabled is about state Disabled: a node that comes gets nothing and is not
// ready, until the pools are Active again; what is leased works on.
func (s *scene) poolsDisabled(t *testing.T) {
	four, six := pool("pods-v4"), pool("pods-v6")
	s.change(t, four, `{"spec":{"state":"Disabled"}}`)
	s.change(t, six, `{"spec":{"state":"Disabled"}}`)
	s.holds(t, four, v1alpha1.ConditionReady, metav1.ConditionTrue, "Disabled")
	s.holds(t, six, v1alpha1.ConditionReady, metav1.ConditionTrue, "Disabled")
	if _, err := s.AddNode(t.Context(), "r1", "n5"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.RemoveNode(context.WithoutCancel(t.Context()), "n5"); err != nil {
			t.Error(err)
		}
	})
	s.holds(t, nodeState("n5"), v1alpha1.ConditionReady, metav1.ConditionFalse, "NoBlock", "IPPool")
	s.holds(t, nodeState("n5"), v1alpha1.ConditionSessionsEstablished, metav1.ConditionTrue, "AllEstablished")
	if err := s.ready(t.Context(), "n5", 503, "NoBlock"); err != nil {
		t.Error(err)
	}
	if code, body, err := s.get(t.Context(), "n5", "127.0.0.1:9471/healthz"); code != 200 {
		t.Errorf("/healthz: %d %s %v", code, body, err)
	}
	// To the kubelet the node is NotReady, so that no pod is sent there.
	if files, err := os.ReadDir(s.Node("n5").CNIConfDir()); err != nil || len(files) > 0 {
		t.Errorf("CNI configuration of a node without a block: %v, %v", files, err)
	}
	for _, name := range []string{four.Name, six.Name} {
		if err := s.blockState(t.Context(), name, "n5", ""); err != nil {
			t.Error(err)
		}
		if err := s.blockState(t.Context(), name, "n1", v1alpha1.BlockLeased); err != nil {
			t.Error(err)
		}
	}
	still := s.addPod(t, "n1", "still")
	s.answered(t, s.c, still.Address(topology.V4))
	s.answered(t, s.c, still.Address(topology.V6))

	s.patch(t, four, `{"spec":{"state":"Active"}}`)
	s.patch(t, six, `{"spec":{"state":"Active"}}`)
	if err := s.WaitConverged(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.ready(t.Context(), "n5", 200, "ok"); err != nil {
		t.Error(err)
	}
	late := s.addPod(t, "n5", "late")
	for _, f := range s.Topology().Families() {
		s.answered(t, s.c, late.Address(f))
		s.answered(t, late, s.b.Address(f))
	}
}
