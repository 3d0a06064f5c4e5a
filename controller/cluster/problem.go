package cluster

import (
	"fmt"
	"strings"
)

// Reasons of conditions.
const (
	ReasonInvalidSelector  = "InvalidSelector"
	ReasonInvalidRange     = "InvalidRange"
	ReasonOverlap          = "Overlap"
	ReasonPlanFull         = "AddressPlanFull"
	ReasonPending          = "Pending"
	ReasonDeleting         = "Deleting"
	ReasonNoOverlap        = "NoOverlap"
	ReasonNoFreeBlock      = "NoFreeBlock"
	ReasonBlocksFree       = "BlocksFree"
	ReasonMaximumReached   = "MaximumReached"
	ReasonBelowMaximum     = "BelowMaximum"
	ReasonPodCIDRs         = "PodCIDRs"
	ReasonPodCIDRRefused   = "PodCIDRRefused"
	ReasonDuplicateAddress = "DuplicateAddress"
	ReasonAccepted         = "Accepted"
	ReasonAllEstablished   = "AllEstablished"
	ReasonSessionsDown     = "SessionsDown"
	ReasonNoNodeSelected   = "NoNodeSelected"
	ReasonSameSpecificity  = "SameSpecificity"
	ReasonNoConflict       = "NoConflict"
	ReasonNodeGone         = "NodeGone"
	ReasonEarlierNode      = "EarlierNode"
	ReasonNodeSilent       = "NodeSilent"
	ReasonAgentSilent      = "AgentSilent"
	ReasonLeaseRenewed     = "LeaseRenewed"
)

// problem is why an object cannot be used, in words for a Condition.
type problem struct{ reason, message string }

// invalidSelector is the problem of a nodeSelector that does not parse.
func invalidSelector(err error) *problem {
	return &problem{ReasonInvalidSelector, fmt.Sprintf("spec.nodeSelector: %v: no node is selected until it is corrected", err)}
}

// maxNamed bounds how many nodes a message names.
const maxNamed = 5

// nameSome lists the first few names and counts the rest.
func nameSome(names []string) string {
	if len(names) <= maxNamed {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNamed], ", "), len(names)-maxNamed)
}
