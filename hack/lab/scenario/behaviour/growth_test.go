package behaviour

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	cnitypes "github.com/containernetworking/cni/pkg/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/hack/lab/topology"
)

// nodeGrows is about maxBlocksPerNode: blocks of eight addresses, and more pods on
// n1 than one of them serves. And about a pool that is not advertised.
func (s *scene) nodeGrows(t *testing.T) {
	lan := s.quiet(t, "lan", "10.98.8.0/28")
	// n1 has no address left of its usual pool, so that the small one alone serves.
	s.change(t, pool("pods-v4"), fmt.Sprintf(`{"spec":{"maxBlocksPerNode":1,"reserved":[%q]}}`, s.block(t, "n1", "pods-v4")))
	const cidr = "10.99.3.0/27"
	inside := netip.MustParsePrefix(cidr)
	p := newPool("growing", cidr, 29, "n1")
	p.Spec.MaxBlocksPerNode = new(int32(2))
	s.create(t, p)
	first := s.grown(t, p, 1)
	if err := s.everywhere(t.Context(), inside, first...); err != nil {
		t.Fatal(err)
	}

	var pods []netip.Addr
	add := func(n int) {
		for range n {
			pod := s.addPodOnce(t, fmt.Sprintf("grown-%d", len(pods)))
			pods = append(pods, pod.Address(topology.V4))
		}
	}
	add(5) // more than half
	both := s.grown(t, p, 2)
	if both[0] != first[0] {
		t.Errorf("blocks %v, the first was %v", both, first)
	}
	add(11) // all of both
	for i, a := range pods {
		if !both[i/8].Contains(a) {
			t.Errorf("pod %d has %s, want one of %s", i, a, both[i/8])
		}
		if lan.Contains(a) {
			t.Errorf("pod %d has %s of the pool that is not advertised", i, a)
		}
	}
	s.answered(t, s.c, pods[0])
	s.answered(t, s.c, pods[15])
	s.answered(t, s.b, pods[15])

	_, err := s.AddPodOnce(t.Context(), "n1", "too-many")
	var refused *cnitypes.Error
	if !errors.As(err, &refused) || refused.Code != cnitypes.ErrTryAgainLater {
		t.Fatalf("ADD at the maximum: %v, want code %d", err, cnitypes.ErrTryAgainLater)
	}
	t.Logf("ADD at the maximum: %v", refused)
	s.says(t, "ADD", refused.Error(), "no free address", "IPv4", both[1].String())
	s.holds(t, p, v1alpha1.ConditionLimited, metav1.ConditionTrue, "MaximumReached", "n1", "maxBlocksPerNode")
	s.holds(t, nodeState("n1"), v1alpha1.ConditionAddressesAvailable, metav1.ConditionFalse, "Exhausted", "IPPool/growing gives a node no more than 2 blocks")
	s.eventually(t, "an Event on the node", func(ctx context.Context) error {
		out, err := s.Kubectl(ctx, "get", "events", "--field-selector", "reason=MaximumReached,involvedObject.name=n1", "-o", "jsonpath={.items[*].message}")
		if err != nil {
			return err
		}
		return lacks(out, "all 2 blocks that IPPool/growing", "maxBlocksPerNode")
	})
	out, _, err := s.fairlead(t.Context(), topology.RoleControlPlane, "blocks", "--node", "n1")
	if err := errors.Join(err, lacks(out, "ASKED FOR", "growing", "maxBlocksPerNode is reached", lan.String(), "for fairlead-ipam only")); err != nil {
		t.Error(err)
	}

	// The way out that the condition names.
	s.patch(t, p, `{"spec":{"maxBlocksPerNode":3}}`)
	three := s.grown(t, p, 3)
	if more := s.addPodOnce(t, "more").Address(topology.V4); !three[2].Contains(more) {
		t.Errorf("pod has %s, want one of %s", more, three[2])
	}
	s.holds(t, nodeState("n1"), v1alpha1.ConditionAddressesAvailable, metav1.ConditionTrue, "Low")
	s.connected(t)
	s.unreserve(t)
}

// grown waits until n1 has so many Leased blocks of the pool, its kernel and
// all routers have exactly these, and its agent gives addresses of them. It
// returns them in order.
func (s *scene) grown(t *testing.T, p *v1alpha1.IPPool, count int) []netip.Prefix {
	t.Helper()
	const node = "n1"
	inside := netip.MustParsePrefix(p.Spec.CIDR)
	var blocks []netip.Prefix
	took := s.eventually(t, fmt.Sprintf("%d blocks of %s", count, p.Name), func(ctx context.Context) error {
		var list v1alpha1.IPBlockList
		if err := s.Client().List(ctx, &list); err != nil {
			return err
		}
		blocks = nil
		for _, b := range list.Items {
			if b.Spec.PoolName == p.Name && b.Spec.State == v1alpha1.BlockLeased && b.Spec.NodeName == node {
				blocks = append(blocks, netip.MustParsePrefix(b.Spec.CIDR))
			}
		}
		slices.SortFunc(blocks, netip.Prefix.Compare)
		if len(blocks) != count {
			return fmt.Errorf("blocks %v", blocks)
		}
		for _, b := range blocks {
			if err := s.blockIs(t, node, b, true, true); err != nil {
				return err
			}
		}
		return errors.Join(s.hasBlackholes(ctx, node, inside, blocks...), s.everywhere(ctx, inside, blocks...))
	})
	t.Logf("%d blocks after %v: %v", count, took, blocks)
	return blocks
}

// quiet leases n1 a block of a pool that is not advertised, and whose addresses
// are below those of all other pools: a pod's would come from it first.
func (s *scene) quiet(t *testing.T, name, cidr string) netip.Prefix {
	t.Helper()
	p := newPool(name, cidr, 29, "n1")
	p.Spec.Advertise = new(bool)
	s.create(t, p)
	var block netip.Prefix
	s.eventually(t, "a block that is not advertised", func(ctx context.Context) error {
		of, err := s.blocks(ctx, p.Name)
		if err != nil {
			return err
		}
		if len(of) != 1 || !of["n1"].Spec.IPAMOnly {
			return fmt.Errorf("blocks %+v, want one of n1, for IPAM only", of)
		}
		block = netip.MustParsePrefix(of["n1"].Spec.CIDR)
		return s.blockIs(t, "n1", block, false, false)
	})
	t.Cleanup(func() {
		inside := netip.MustParsePrefix(p.Spec.CIDR)
		if err := errors.Join(s.everywhere(context.WithoutCancel(t.Context()), inside), s.hasBlackholes(context.WithoutCancel(t.Context()), "n1", inside)); err != nil {
			t.Errorf("a pool that is not advertised: %v", err)
		}
	})
	return block
}

// lacks is nil if a text has all the others in it.
func lacks(text string, parts ...string) error {
	for _, p := range parts {
		if !strings.Contains(text, p) {
			return fmt.Errorf("no %q in %q", p, text)
		}
	}
	return nil
}
