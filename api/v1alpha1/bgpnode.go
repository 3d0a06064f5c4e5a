package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// VTEP is a node's VXLAN tunnel endpoint (RFC 7348). Its underlay address is the
// node's, its MAC follows from the node's name.
type VTEP struct {
	// vni is the VXLAN network identifier.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=16777215
	VNI int32 `json:"vni"`
	// port is the UDP port.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port"`
}

// BGPNodeSpec is what the controller decided for one node.
type BGPNodeSpec struct {
	// nodeUID is the UID of the Node that this was written for.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	NodeUID string `json:"nodeUID"`
	// addresses are the node's own, at most one of each family, found by
	// nodeAddress and unique in the cluster.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=2
	// +kubebuilder:validation:items:MaxLength=39
	// +kubebuilder:validation:items:XValidation:rule="isIP(self) && ip.isCanonical(self)",message="must be an IP address in canonical form"
	// +kubebuilder:validation:XValidation:rule="size(self) < 2 || !isIP(self[0]) || !isIP(self[1]) || ip(self[0]).family() != ip(self[1]).family()",message="must be at most one of each family"
	Addresses []string `json:"addresses,omitempty"`
	// asNumber is the node's AS.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4294967294
	ASNumber int64 `json:"asNumber"`
	// routerID is the BGP identifier: the node's IPv4 address, or, where it has
	// none, one derived from its name.
	// +kubebuilder:validation:MaxLength=15
	// +kubebuilder:validation:XValidation:rule="isIP(self) && ip(self).family() == 4 && !ip(self).isUnspecified()",message="must be written as an IPv4 address and not be zero"
	RouterID string `json:"routerID"`
	// listenPort is the speaker's TCP port, -1 for none.
	// +kubebuilder:validation:Minimum=-1
	// +kubebuilder:validation:Maximum=65535
	// +kubebuilder:validation:XValidation:rule="self != 0",message="must be a TCP port (1 to 65535), or -1 to listen nowhere"
	ListenPort int32 `json:"listenPort"`
	// gracefulRestartSeconds is the Restart Time that the node advertises.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4095
	GracefulRestartSeconds int32 `json:"gracefulRestartSeconds"`
	// mesh says that the node peers with every other node whose mesh is true.
	// +optional
	Mesh bool `json:"mesh,omitempty"`
	// nodeAddress is the rule by which the agent finds the node's address, from the
	// BGPConfiguration that governs the node. Default: the Node's InternalIP.
	// +optional
	NodeAddress *NodeAddress `json:"nodeAddress,omitempty"`
	// vtep is there while the node's VXLAN device is up: others may send to it.
	// +optional
	VTEP *VTEP `json:"vtep,omitempty"`
}

// BGPNode carries a node's routing facts from the controller to the agents.
// It has the Node's name and a copy of its labels, which the nodeSelectors of
// peers are matched with. Only the controller writes it.
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster
// +kubebuilder:printcolumn:name="ASN",type=integer,JSONPath=`.spec.asNumber`
// +kubebuilder:printcolumn:name="Router-ID",type=string,JSONPath=`.spec.routerID`
// +kubebuilder:printcolumn:name="Addresses",type=string,JSONPath=`.spec.addresses`
// +kubebuilder:printcolumn:name="Mesh",type=boolean,JSONPath=`.spec.mesh`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type BGPNode struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              BGPNodeSpec `json:"spec"`
}

// BGPNodeList is a list of BGPNodes.
// +kubebuilder:object:root=true
type BGPNodeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BGPNode `json:"items"`
}
