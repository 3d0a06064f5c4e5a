// Package v1alpha1 is Fairlead's API, group fairlead.dev: what users write
// (IPPool, BGPConfiguration, BGPPeer), what the controller writes (AddressPlan,
// IPBlock, BGPNode) and what each agent writes (NodeState). All kinds are
// cluster-scoped and validated by CEL, without webhooks.
//
// +kubebuilder:object:generate=true
// +groupName=fairlead.dev
package v1alpha1
