package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
)

// What a Node's condition NetworkUnavailable says from us.
const (
	networkReason  = "FairleadIsUp"
	networkMessage = "the node's fairlead-agent is ready: pods that start here are wired"
)

// opening is a Node that pods are kept off and that can serve them now.
type opening struct {
	node *corev1.Node
	// network says that its condition NetworkUnavailable is to become False: the node
	// lifecycle controller then takes its taint away.
	network bool
	// taints are the indexes of the start-up taints in its spec, the highest first.
	taints []int
}

// decideOpen returns the Nodes to open. It never closes one: what an agent that is
// gone has left goes on working. heard are the conditions AgentReachable as they are
// now, by node.
func decideOpen(s *State, heard map[string]metav1.Condition) []opening {
	var out []opening
	states := s.nodeStatesByName()
	var families map[string]map[bool]bool
	for i := range s.Nodes {
		node := &s.Nodes[i]
		o := opening{node: node, network: unavailable(node), taints: startupTaints(node)}
		if !o.network && len(o.taints) == 0 || heard[node.Name].Status != metav1.ConditionTrue {
			continue
		}
		if families == nil { // rare: most passes open nothing
			families = leasedFamilies(s.Blocks)
		}
		if n := states[node.Name]; serves(n, node) && programmed(n, families[node.Name]) {
			out = append(out, o)
		}
	}
	return out
}

// unavailable says that the condition is there and not False. Most nodes never have
// it: a cloud's provider sets it, for routes that Fairlead makes instead.
func unavailable(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeNetworkUnavailable && c.Status != corev1.ConditionFalse
	})
}

func startupTaints(node *corev1.Node) (indexes []int) {
	for i, t := range slices.Backward(node.Spec.Taints) {
		if t.Key == v1alpha1.AgentNotReadyTaint {
			indexes = append(indexes, i)
		}
	}
	return indexes
}

// serves says that a report is of this Node and this boot of it, that the node is
// ready, and that its container runtime gives pods to us.
func serves(n *v1alpha1.NodeState, node *corev1.Node) bool {
	boot := node.Status.NodeInfo.BootID // none where no kubelet wrote it
	return n != nil && speaksFor(n, node) && (boot == "" || n.Status.BootID == boot) &&
		meta.IsStatusConditionTrue(n.Status.Conditions, v1alpha1.ConditionReady) &&
		meta.IsStatusConditionTrue(n.Status.Conditions, v1alpha1.ConditionCNIConfigured)
}

// programmed says that of each family leased for pods a block is in the kernel, and
// of one at least.
func programmed(n *v1alpha1.NodeState, families map[bool]bool) bool {
	held := map[bool]bool{} // by whether it is IPv4
	for _, b := range n.Status.Blocks {
		if cidr, err := netip.ParsePrefix(b.CIDR); err == nil && b.Programmed {
			held[cidr.Addr().Is4()] = true
		}
	}
	for is4 := range families {
		if !held[is4] {
			return false
		}
	}
	return len(held) > 0
}

// leasedFamilies are those that nodes have Leased blocks of for pods.
func leasedFamilies(blocks []v1alpha1.IPBlock) map[string]map[bool]bool {
	out := map[string]map[bool]bool{}
	for i := range blocks {
		b := &blocks[i].Spec
		cidr, err := netip.ParsePrefix(b.CIDR)
		if err != nil || b.State != v1alpha1.BlockLeased || b.IPAMOnly {
			continue
		}
		if out[b.NodeName] == nil {
			out[b.NodeName] = map[bool]bool{}
		}
		out[b.NodeName][cidr.Addr().Is4()] = true
	}
	return out
}

// open lets pods onto the nodes. What another has changed meanwhile is left for the
// next pass, which that change brings.
func (w *watchman) open(ctx context.Context, openings []opening) error {
	var errs []error
	for _, o := range openings {
		if o.network {
			errs = append(errs, w.openNetwork(ctx, o.node))
		}
		if len(o.taints) > 0 {
			errs = append(errs, w.untaint(ctx, o))
		}
	}
	return errors.Join(errs...)
}

// openNetwork writes the one condition: the API server merges conditions by type.
func (w *watchman) openNetwork(ctx context.Context, node *corev1.Node) error {
	now := metav1.Now()
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": node.UID}, // refused if it is another Node by now
		"status": map[string]any{"conditions": []corev1.NodeCondition{{
			Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionFalse,
			Reason: networkReason, Message: networkMessage, LastHeartbeatTime: now, LastTransitionTime: now,
		}}},
	})
	if err != nil {
		return fmt.Errorf("encode condition of Node %s: %w", node.Name, err)
	}
	err = w.client.Status().Patch(ctx, nodeNamed(node.Name), client.RawPatch(types.StrategicMergePatchType, patch))
	return w.opened(node, "condition NetworkUnavailable is False", err)
}

// untaint removes our taints by their place in the list, if they are still there: a
// patch that replaced the list would take others' away with them.
func (w *watchman) untaint(ctx context.Context, o opening) error {
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value,omitempty"`
	}
	operations := []operation{{"test", "/metadata/uid", o.node.UID}}
	for _, i := range o.taints {
		path := fmt.Sprintf("/spec/taints/%d", i)
		operations = append(operations, operation{"test", path + "/key", v1alpha1.AgentNotReadyTaint}, operation{"remove", path, nil})
	}
	patch, err := json.Marshal(operations)
	if err != nil {
		return fmt.Errorf("encode taints of Node %s: %w", o.node.Name, err)
	}
	err = w.client.Patch(ctx, nodeNamed(o.node.Name), client.RawPatch(types.JSONPatchType, patch))
	return w.opened(o.node, "taint "+v1alpha1.AgentNotReadyTaint+" is removed", err)
}

func (w *watchman) opened(node *corev1.Node, what string, err error) error {
	switch {
	case stale(err), apierrors.IsInvalid(err): // so the API server calls a UID that differs, and a test that fails
		w.log.Info("node not opened to pods, it has changed", "node", node.Name, "change", what, "err", err)
		return nil
	case err != nil:
		return fmt.Errorf("open Node %s to pods: %w", node.Name, err)
	}
	w.log.Info("node opened to pods, its agent is ready", "node", node.Name, "change", what)
	return nil
}

func nodeNamed(name string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
}
