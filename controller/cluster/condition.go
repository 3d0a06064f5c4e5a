package cluster

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Reasons of conditions, and of the Events that tell a Node the same.
const (
	reasonInvalidSelector  = "InvalidSelector"
	reasonInvalidRange     = "InvalidRange"
	reasonOverlap          = "Overlap"
	reasonPlanFull         = "AddressPlanFull"
	reasonPending          = "Pending"
	reasonDeleting         = "Deleting"
	reasonNoOverlap        = "NoOverlap"
	reasonNoFreeBlock      = "NoFreeBlock"
	reasonBlocksFree       = "BlocksFree"
	reasonMaximumReached   = "MaximumReached"
	reasonBelowMaximum     = "BelowMaximum"
	reasonPodCIDRs         = "PodCIDRs"
	reasonPodCIDRRefused   = "PodCIDRRefused"
	reasonDuplicateAddress = "DuplicateAddress"
	reasonAccepted         = "Accepted"
	reasonAllEstablished   = "AllEstablished"
	reasonSessionsDown     = "SessionsDown"
	reasonNoNodeSelected   = "NoNodeSelected"
	reasonSameSpecificity  = "SameSpecificity"
	reasonNoConflict       = "NoConflict"
	reasonNodeGone         = "NodeGone"
	reasonEarlierNode      = "EarlierNode"
	reasonNodeSilent       = "NodeSilent"
	reasonAgentSilent      = "AgentSilent"
	reasonLeaseRenewed     = "LeaseRenewed"
	reasonAddressRefused   = "AddressRefused"
)

// condition makes a Condition of an object's generation.
func condition(kind string, yes bool, reason, message string, generation int64) metav1.Condition {
	status := metav1.ConditionFalse
	if yes {
		status = metav1.ConditionTrue
	}
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message, ObservedGeneration: generation}
}

// setConditions sets each, keeping the time of the last change of its status.
func setConditions(to *[]metav1.Condition, now time.Time, all ...metav1.Condition) {
	for _, c := range all {
		c.LastTransitionTime = metav1.NewTime(now)
		meta.SetStatusCondition(to, c)
	}
}
