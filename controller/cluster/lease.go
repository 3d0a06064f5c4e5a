package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
)

// poolRun is what came of leasing from one pool.
type poolRun struct {
	learnt  []v1alpha1.IPBlock
	starved []*corev1.Node
	err     error
}

// leasePool leases to each node that waits, one after the other and lowest first.
func (l *leaser) leasePool(ctx context.Context, p *pool, blocks []v1alpha1.IPBlock) (out poolRun) {
	space := p.space(blocks)
	has := make(map[string]int, len(p.waiting)) // by node
	for _, w := range p.waiting {
		has[w.node.Name] += w.has
	}
	for _, w := range p.waiting {
		grows := w.has > 0
		if grows {
			// An older cache may lack what another leader gave it.
			live, err := l.liveBlocksOf(ctx, w.node.Name)
			if err != nil {
				out.err = err
				return out
			}
			out.learnt = append(out.learnt, unknown(live, blocks)...)
			has[w.node.Name] = len(leasedFrom(live, p))
			takeAll(space, live)
		}
		for has[w.node.Name] < w.want {
			cidr, free := p.offer(w.node.Name, space)
			if !free {
				out.starved = append(out.starved, w.node)
				break
			}
			block, err := l.take(ctx, p, w.node, cidr)
			if err != nil {
				out.err = err
				return out
			}
			space.Take(cidr)
			if block == nil {
				continue // gone again in the same moment: the next pass may have it
			}
			out.learnt = append(out.learnt, *block)
			if len(leasedFrom([]v1alpha1.IPBlock{*block}, p)) > 0 {
				has[block.Spec.NodeName]++
			}
		}
		if grows {
			if out.err = l.trim(ctx, p, w); out.err != nil {
				return out
			}
		}
	}
	return out
}

// unknown keeps the blocks that are not among known.
func unknown(blocks, known []v1alpha1.IPBlock) (out []v1alpha1.IPBlock) {
	for _, b := range blocks {
		if !slices.ContainsFunc(known, func(k v1alpha1.IPBlock) bool { return k.UID == b.UID }) {
			out = append(out, b)
		}
	}
	return out
}

// leasedFrom keeps the blocks that are Leased from p.
func leasedFrom(blocks []v1alpha1.IPBlock, p *pool) (out []v1alpha1.IPBlock) {
	for _, b := range blocks {
		if b.Spec.PoolUID == string(p.UID) && b.Spec.State == v1alpha1.BlockLeased {
			out = append(out, b)
		}
	}
	return out
}

// trim looks whether two leaders grew a node at once, each by another block, and
// drains the younger: it has just been leased.
func (l *leaser) trim(ctx context.Context, p *pool, w waiter) error {
	live, err := l.liveBlocksOf(ctx, w.node.Name)
	if err != nil {
		return err
	}
	has := leasedFrom(live, p)
	slices.SortFunc(has, func(a, b v1alpha1.IPBlock) int { return compareAge(&a, &b) })
	for i := w.want; i < len(has); i++ {
		t := transition{cause: causeSecondBlock, block: &has[i], next: has[i].Spec.DeepCopy()}
		t.next.State = v1alpha1.BlockDraining
		if err := l.write(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// liveBlocksOf lists a node's IPBlocks as the API server has them now.
func (l *leaser) liveBlocksOf(ctx context.Context, node string) ([]v1alpha1.IPBlock, error) {
	var list v1alpha1.IPBlockList
	if err := l.live.List(ctx, &list, client.MatchingFields{"spec.nodeName": node}); err != nil {
		return nil, fmt.Errorf("list IPBlocks of node %s: %w", node, err)
	}
	return list.Items, nil
}

// take creates the block for node and returns it; or, if somebody else was
// first, theirs.
func (l *leaser) take(ctx context.Context, p *pool, node *corev1.Node, cidr netip.Prefix) (*v1alpha1.IPBlock, error) {
	block := &v1alpha1.IPBlock{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.BlockName(cidr)},
		Spec: v1alpha1.IPBlockSpec{
			CIDR: cidr.String(), PoolName: p.Name, PoolUID: string(p.UID), IPAMOnly: !p.Spec.EffectiveAdvertise(), Adopted: p.adopts(),
			NodeName: node.Name, NodeUID: string(node.UID), State: v1alpha1.BlockLeased,
		},
	}
	err := l.client.Create(ctx, block)
	switch {
	case err == nil:
		l.log.Info("block leased", "block", block.Spec.CIDR, "node", node.Name, "pool", p.Name)
		l.metrics.transitions.WithLabelValues(string(v1alpha1.BlockLeased)).Inc()
		return block, nil
	case !apierrors.IsAlreadyExists(err):
		return nil, fmt.Errorf("create IPBlock %s for node %s: %w", cidr, node.Name, err)
	}
	theirs := &v1alpha1.IPBlock{}
	switch err := l.live.Get(ctx, client.ObjectKeyFromObject(block), theirs); {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("get IPBlock %s: %w", cidr, err)
	}
	return theirs, nil
}

func (l *leaser) reportStarved(p *pool, node *corev1.Node) {
	l.log.Warn("no free block", "node", node.Name, "pool", p.Name)
	l.events.Eventf(node, p.IPPool, corev1.EventTypeWarning, reasonNoFreeBlock, "Lease",
		"IPPool/%s (%s) has no free block for this node: create another IPPool for it, or delete Nodes that are no longer there", p.Name, p.Spec.CIDR)
}

func (l *leaser) reportLimited(p *pool, node *corev1.Node) {
	l.log.Warn("node asks for more blocks than it may have", "node", node.Name, "pool", p.Name)
	if p.adopts() {
		l.events.Eventf(node, p.IPPool, corev1.EventTypeWarning, reasonMaximumReached, "Lease",
			"the addresses of this node's podCIDR, all that IPPool/%s has for it, run low: create another IPPool, or let fewer pods run here", p.Name)
		return
	}
	l.events.Eventf(node, p.IPPool, corev1.EventTypeWarning, reasonMaximumReached, "Lease",
		"this node has all %d blocks that IPPool/%s gives one node, and asks for more: raise its spec.maxBlocksPerNode, create another IPPool, or let fewer pods run here", p.Spec.EffectiveMaxBlocksPerNode(), p.Name)
}
