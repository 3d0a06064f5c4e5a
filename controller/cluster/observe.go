package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
)

// livePage bounds one answer of a live list.
const livePage = 1000

// The one Service that the API server itself makes.
const apiService, apiServiceNamespace = "kubernetes", "default"

// observe lists what the caches hold. Nothing is copied: a State is read only.
func observe(ctx context.Context, cached client.Reader) (*State, error) {
	var (
		nodes   corev1.NodeList
		pools   v1alpha1.IPPoolList
		blocks  v1alpha1.IPBlockList
		bgp     v1alpha1.BGPNodeList
		configs v1alpha1.BGPConfigurationList
		peers   v1alpha1.BGPPeerList
		states  v1alpha1.NodeStateList
		plan    v1alpha1.AddressPlan
	)
	for _, list := range []client.ObjectList{&nodes, &pools, &blocks, &bgp, &configs, &peers, &states} {
		if err := cached.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
			return nil, fmt.Errorf("list %T: %w", list, err)
		}
	}
	s := &State{
		Now: time.Now(), Nodes: nodes.Items, Pools: pools.Items, Blocks: blocks.Items, BGPNodes: bgp.Items,
		Configs: configs.Items, Peers: peers.Items, NodeStates: states.Items,
	}
	switch err := cached.Get(ctx, client.ObjectKey{Name: v1alpha1.AddressPlanName}, &plan); {
	case err == nil:
		s.Plan = &plan
	case !apierrors.IsNotFound(err):
		return nil, fmt.Errorf("get AddressPlan: %w", err)
	}
	var service corev1.Service
	switch err := cached.Get(ctx, client.ObjectKey{Namespace: apiServiceNamespace, Name: apiService}, &service); {
	case err == nil:
		s.Services = service.Spec.ClusterIPs
	case !apierrors.IsNotFound(err):
		return nil, fmt.Errorf("get Service %s: %w", apiService, err)
	}
	s.sort()
	return s, nil
}

// liveBlocks lists the IPBlocks as the API server has them now.
func liveBlocks(ctx context.Context, live client.Reader) ([]v1alpha1.IPBlock, error) {
	var out []v1alpha1.IPBlock
	var token string
	for {
		var page v1alpha1.IPBlockList
		if err := live.List(ctx, &page, client.Limit(livePage), client.Continue(token)); err != nil {
			return nil, fmt.Errorf("list IPBlocks: %w", err)
		}
		out = append(out, page.Items...)
		if token = page.Continue; token == "" {
			return out, nil
		}
	}
}

// slim drops what no pass reads, which is most of a Node's size.
func slim(obj any) (any, error) {
	if _, tombstone := obj.(cache.DeletedFinalStateUnknown); tombstone {
		return obj, nil
	}
	node, ok := obj.(*corev1.Node)
	if !ok {
		return nil, errors.New("the Node cache holds something else")
	}
	node.ManagedFields, node.Annotations = nil, nil
	node.Spec = corev1.NodeSpec{PodCIDRs: node.Spec.PodCIDRs, Taints: node.Spec.Taints}
	read := slices.DeleteFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type != corev1.NodeReady && c.Type != corev1.NodeNetworkUnavailable
	})
	for i := range read {
		read[i] = corev1.NodeCondition{Type: read[i].Type, Status: read[i].Status}
	}
	node.Status = corev1.NodeStatus{
		Addresses: node.Status.Addresses, Conditions: slices.Clip(read),
		NodeInfo: corev1.NodeSystemInfo{BootID: node.Status.NodeInfo.BootID},
	}
	return node, nil
}

// stale says that a write lost against another one: the watch will bring the
// other, and with it the next pass.
func stale(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsNotFound(err) || apierrors.IsAlreadyExists(err)
}
