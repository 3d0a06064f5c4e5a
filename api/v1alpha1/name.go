package v1alpha1

import (
	"net/netip"
	"strings"
)

// BlockName is the only name that an IPBlock of this CIDR may have.
func BlockName(cidr netip.Prefix) string {
	return strings.NewReplacer(":", "-", "/", "-").Replace(cidr.Masked().String())
}

// AgentLeaseName is the name of the Lease (coordination.k8s.io, in the install
// namespace) that a node's agent renews while what it reports is up to date.
func AgentLeaseName(node string) string { return "fairlead-agent-" + node }

// AgentNotReadyTaint is the key of a taint that nodes may register with, so that no
// pod is placed there before Fairlead can wire it. The controller removes it once
// the node's agent is ready.
const AgentNotReadyTaint = "fairlead.dev/agent-not-ready"
