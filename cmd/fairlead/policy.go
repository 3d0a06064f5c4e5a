package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// enforcers are parts of the images of programs that enforce NetworkPolicies beside
// any network.
func enforcers() []string {
	return []string{"kube-network-policies", "calico/node", "cilium/cilium", "kube-router", "antrea", "kindnetd", "network-policy-agent", "weave-npc"}
}

// policyNote says that NetworkPolicies are there and nobody is seen to enforce them.
// Who may not list them is told nothing: the rights are the user's own.
func policyNote(ctx context.Context, c client.Client) string {
	var policies metav1.PartialObjectMetadataList
	policies.SetGroupVersionKind(networkingv1.SchemeGroupVersion.WithKind("NetworkPolicyList"))
	if err := c.List(ctx, &policies, client.Limit(1)); err != nil || len(policies.Items) == 0 {
		return ""
	}
	count := int64(len(policies.Items))
	if policies.RemainingItemCount != nil {
		count += *policies.RemainingItemCount
	}
	var sets appsv1.DaemonSetList
	if err := c.List(ctx, &sets); err != nil {
		return policyText(count, "whether another program does is not known, since DaemonSets cannot be listed")
	}
	if slices.ContainsFunc(sets.Items, enforces) {
		return ""
	}
	return policyText(count, "and no DaemonSet is seen that does: run one, such as kube-network-policies, beside it")
}

func policyText(count int64, rest string) string {
	what := "NetworkPolicy objects exist"
	if count == 1 {
		what = "NetworkPolicy object exists"
	}
	return fmt.Sprintf("%d %s: Fairlead enforces none, %s.", count, what, rest)
}

func enforces(set appsv1.DaemonSet) bool {
	return slices.ContainsFunc(set.Spec.Template.Spec.Containers, func(c corev1.Container) bool {
		return slices.ContainsFunc(enforcers(), func(part string) bool { return strings.Contains(c.Image, part) })
	})
}
