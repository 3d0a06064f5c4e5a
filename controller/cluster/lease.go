package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
)

// poolRun is what came of leasing from one pool.
type poolRun struct {
	learnt  []v1alpha1.IPBlock
	starved []*corev1.Node
	err     error
}

// leasePool leases a block to each node that waits, one after the other and
// lowest first.
func (l *leaser) leasePool(ctx context.Context, p *pool, blocks []v1alpha1.IPBlock) poolRun {
	var out poolRun
	space := p.space(blocks)
	served := map[string]bool{}
	for _, node := range p.waiting {
		for !served[node.Name] {
			cidr, free := space.Next()
			if !free {
				out.starved = append(out.starved, node)
				break
			}
			block, err := l.take(ctx, p, node, cidr)
			if err != nil {
				out.err = err
				return out
			}
			space.Take(cidr)
			if block == nil {
				continue // gone again in the same moment: the next pass may have it
			}
			out.learnt = append(out.learnt, *block)
			if block.Spec.PoolUID == string(p.UID) && block.Spec.State == v1alpha1.BlockLeased {
				served[block.Spec.NodeName] = true
			}
		}
	}
	return out
}

// take creates the block for node and returns it; or, if somebody else was
// first, theirs.
func (l *leaser) take(ctx context.Context, p *pool, node *corev1.Node, cidr netip.Prefix) (*v1alpha1.IPBlock, error) {
	block := &v1alpha1.IPBlock{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.BlockName(cidr)},
		Spec: v1alpha1.IPBlockSpec{
			CIDR: cidr.String(), PoolName: p.Name, PoolUID: string(p.UID),
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
	l.events.Eventf(node, p.IPPool, corev1.EventTypeWarning, ReasonNoFreeBlock, "Lease",
		"IPPool/%s (%s) has no free block for this node: create another IPPool for it, or delete Nodes that are no longer there", p.Name, p.Spec.CIDR)
}

// learntFor is how long a created block is remembered although the cache does
// not show it: far longer than any watch lags, and an end, should it have been
// deleted before the cache saw it.
const learntFor = time.Minute

// learnt are blocks by UID, with when they were learnt of.
type learnt map[types.UID]learntBlock

type learntBlock struct {
	block v1alpha1.IPBlock
	at    time.Time
}

func (l learnt) add(blocks []v1alpha1.IPBlock) {
	for _, b := range blocks {
		l[b.UID] = learntBlock{b, time.Now()}
	}
}

// merge adds to s the blocks that its cache does not show yet, and forgets those
// that it shows.
func (l learnt) merge(s *State) {
	if len(l) == 0 {
		return
	}
	for i := range s.Blocks {
		delete(l, s.Blocks[i].UID)
	}
	for uid, b := range l {
		if s.Now.Sub(b.at) > learntFor {
			delete(l, uid)
			continue
		}
		s.Blocks = append(s.Blocks, b.block)
	}
	s.sort()
}
