package cluster

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
)

// adoption is a Node's podCIDR that is to become its block.
type adoption struct {
	node  *corev1.Node
	block netip.Prefix
}

// adopts says whether blocks are what Nodes say.
func (p *pool) adopts() bool { return p.Spec.EffectiveSource() == v1alpha1.SourceNodeSpec }

// adopt decides on the podCIDRs of the nodes that the pool selects. Of two nodes with
// one podCIDR the older has it, unless the other holds the block already.
func (p *pool) adopt(blocks []v1alpha1.IPBlock) {
	if p.invalid != nil {
		return
	}
	slices.SortFunc(p.selected, func(a, b *corev1.Node) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	held := map[netip.Prefix]*v1alpha1.IPBlock{}
	var odd []*v1alpha1.IPBlock // of another carving
	for i := range blocks {
		cidr, err := netip.ParsePrefix(blocks[i].Spec.CIDR)
		switch {
		case err != nil || !cidr.Overlaps(p.carve.CIDR()):
		case p.carve.Contains(cidr):
			held[cidr] = &blocks[i]
		default:
			odd = append(odd, &blocks[i])
		}
	}
	taken := map[netip.Prefix]*corev1.Node{}
	for _, node := range p.selected {
		cidr, field, refusal := p.podCIDR(node)
		if refusal != "" {
			p.refusals = append(p.refusals, refusal)
			continue
		}
		named := fmt.Sprintf("Node/%s %s %s", node.Name, field, cidr)
		b := held[cidr]
		if i := slices.IndexFunc(odd, func(o *v1alpha1.IPBlock) bool { return overlaps(cidr, o.Spec.CIDR) }); i >= 0 {
			b = odd[i]
		}
		switch other := taken[cidr]; {
		case b != nil && b.Spec.NodeName == node.Name && b.Spec.PoolUID == string(p.UID) && b.Spec.State == v1alpha1.BlockLeased:
		case b != nil:
			p.refusals = append(p.refusals, fmt.Sprintf("%s overlaps IPBlock/%s, %s on node %s: wait until it is released", named, b.Name, b.Spec.State, b.Spec.NodeName))
		case other != nil:
			p.refusals = append(p.refusals, fmt.Sprintf("%s is that of Node/%s too: delete one of the two", named, other.Name))
		default:
			taken[cidr] = node
			p.adoptions = append(p.adoptions, adoption{node, cidr})
		}
	}
}

// podCIDR returns the node's podCIDR of the pool's family and the field that names
// it; or why that can be no block of the pool.
func (p *pool) podCIDR(node *corev1.Node) (cidr netip.Prefix, field, refusal string) {
	const fields = "spec.podCIDRs"
	family := "IPv6"
	if p.carve.CIDR().Addr().Is4() {
		family = "IPv4"
	}
	for i, text := range node.Spec.PodCIDRs {
		parsed, err := netip.ParsePrefix(text)
		if err != nil || parsed.Addr().Is4() != p.carve.CIDR().Addr().Is4() {
			continue
		}
		cidr, field = parsed.Masked(), fmt.Sprintf("%s[%d]", fields, i)
		switch named := fmt.Sprintf("Node/%s %s %s", node.Name, field, cidr); {
		case !cidr.Overlaps(p.carve.CIDR()) || cidr.Bits() < p.carve.CIDR().Bits():
			return cidr, field, fmt.Sprintf("%s is not inside spec.cidr %s: let spec.nodeSelector leave the node out, or create an IPPool that holds it", named, p.Spec.CIDR)
		case cidr.Bits() != p.carve.BlockSize():
			return cidr, field, fmt.Sprintf("%s has the prefix length %d and not that of spec.blockSize, %d: create an IPPool for nodes like it", named, cidr.Bits(), p.carve.BlockSize())
		}
		return cidr, field, ""
	}
	return cidr, fields, fmt.Sprintf("Node/%s %s has no %s range: does kube-controller-manager run with --allocate-node-cidrs and one in --cluster-cidr?", node.Name, fields, family)
}

// leaseAdopted leases to each node its podCIDR. If somebody else is first, the next
// pass finds whose it became.
func (l *leaser) leaseAdopted(ctx context.Context, p *pool) (out poolRun) {
	for _, a := range p.adoptions {
		block, err := l.take(ctx, p, a.node, a.block)
		if err != nil {
			out.err = err
			return out
		}
		if block != nil {
			out.learnt = append(out.learnt, *block)
		}
	}
	return out
}

// poolAdopted says what became of the podCIDRs, if that is what the pool is about.
func poolAdopted(p *pool, conditions *[]metav1.Condition, now time.Time) {
	const kind = v1alpha1.ConditionAdopted
	if !p.adopts() || p.invalid != nil {
		meta.RemoveStatusCondition(conditions, kind)
		return
	}
	c := condition(kind, true, reasonPodCIDRs, fmt.Sprintf("the podCIDR of each of %d nodes is its block", len(p.selected)), p.Generation)
	switch {
	case len(p.refusals) > 0:
		c = condition(kind, false, reasonPodCIDRRefused, refused(p.refusals), p.Generation)
	case len(p.adoptions) > 0 && p.leases():
		c = condition(kind, false, reasonPending, fmt.Sprintf("%d podCIDRs are about to be leased", len(p.adoptions)), p.Generation)
	case len(p.adoptions) > 0:
		c = condition(kind, false, reasonPending, fmt.Sprintf("%d podCIDRs are not leased: see Ready", len(p.adoptions)), p.Generation)
	}
	setConditions(conditions, now, c)
}

// refused tells of the first few.
func refused(all []string) string {
	if extra := len(all) - maxNamed; extra > 0 {
		all = append(slices.Clone(all[:maxNamed]), fmt.Sprintf("and of %d more nodes", extra))
	}
	return strings.Join(all, "; ")
}

// otherPodCIDR says that a Node is there, has a podCIDR, and that the block is not it.
func otherPodCIDR(node *corev1.Node, b *v1alpha1.IPBlock) bool {
	if node == nil || len(node.Spec.PodCIDRs) == 0 {
		return false
	}
	return !slices.ContainsFunc(node.Spec.PodCIDRs, func(text string) bool {
		cidr, err := netip.ParsePrefix(text)
		return err == nil && cidr.Masked().String() == b.Spec.CIDR
	})
}

// stillOtherPodCIDR asks the API server.
func (l *leaser) stillOtherPodCIDR(ctx context.Context, b *v1alpha1.IPBlock) (bool, error) {
	node := &corev1.Node{}
	if err := l.live.Get(ctx, client.ObjectKey{Name: b.Spec.NodeName}, node); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	return otherPodCIDR(node, b), nil
}
