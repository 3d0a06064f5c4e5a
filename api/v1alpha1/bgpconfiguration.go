package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// NodeMesh says whether a node peers with the other nodes of the mesh.
// +kubebuilder:validation:Enum=Auto;Enabled;Disabled
type NodeMesh string

const (
	// NodeMeshAuto puts a node into the mesh exactly when no BGPPeer selects it.
	NodeMeshAuto NodeMesh = "Auto"
	// NodeMeshEnabled puts the node into the mesh.
	NodeMeshEnabled NodeMesh = "Enabled"
	// NodeMeshDisabled keeps the node out of the mesh.
	NodeMeshDisabled NodeMesh = "Disabled"
)

// NodeAddressSource says where a node's address is taken from.
// +kubebuilder:validation:Enum=InternalIP;Interface;CIDR;CanReach
type NodeAddressSource string

const (
	// NodeAddressInternalIP takes the Node's InternalIP.
	NodeAddressInternalIP NodeAddressSource = "InternalIP"
	// NodeAddressInterface takes the address of a link.
	NodeAddressInterface NodeAddressSource = "Interface"
	// NodeAddressCIDR takes the address that lies in a range.
	NodeAddressCIDR NodeAddressSource = "CIDR"
	// NodeAddressCanReach takes the address that the node's kernel sends from to another.
	NodeAddressCanReach NodeAddressSource = "CanReach"
)

// NodeAddress is the rule by which a node's own address of each family is found.
// +kubebuilder:validation:XValidation:rule="(self.source == 'Interface') == has(self.interfaces)",fieldPath=".interfaces",message="must be given with source Interface, and only with it"
// +kubebuilder:validation:XValidation:rule="(self.source == 'CIDR') == has(self.cidrs)",fieldPath=".cidrs",message="must be given with source CIDR, and only with it"
// +kubebuilder:validation:XValidation:rule="(self.source == 'CanReach') == has(self.canReach)",fieldPath=".canReach",message="must be given with source CanReach, and only with it"
type NodeAddress struct {
	// source is InternalIP (default), Interface, CIDR or CanReach.
	// +optional
	// +kubebuilder:default=InternalIP
	Source NodeAddressSource `json:"source,omitempty"`
	// interfaces are names of links, the first that has a usable address wins; a
	// "*" at the end stands for any more letters.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=15
	// +kubebuilder:validation:items:Pattern=`^[^\s/*]+\*?$`
	Interfaces []string `json:"interfaces,omitempty"`
	// cidrs are ranges, the first that holds an address of the node wins.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=43
	// +kubebuilder:validation:items:XValidation:rule="isCIDR(self) && cidr(self) == cidr(self).masked() && string(cidr(self)) == self",message="must be a network in canonical form, such as 192.0.2.0/24 or 2001:db8::/64"
	CIDRs []string `json:"cidrs,omitempty"`
	// canReach are addresses, at most one of each family.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	// +kubebuilder:validation:items:MaxLength=39
	// +kubebuilder:validation:items:XValidation:rule="isIP(self) && ip.isCanonical(self)",message="must be an IP address in canonical form"
	// +kubebuilder:validation:XValidation:rule="size(self) < 2 || !isIP(self[0]) || !isIP(self[1]) || ip(self[0]).family() != ip(self[1]).family()",message="must be at most one of each family"
	CanReach []string `json:"canReach,omitempty"`
	// allowedCIDRs are the ranges in which an address that the Node does not report
	// is accepted from its agent. Default: none.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=43
	// +kubebuilder:validation:items:XValidation:rule="isCIDR(self) && cidr(self) == cidr(self).masked() && string(cidr(self)) == self",message="must be a network in canonical form, such as 192.0.2.0/24 or 2001:db8::/64"
	AllowedCIDRs []string `json:"allowedCIDRs,omitempty"`
}

// Defaults of a node that no BGPConfiguration selects.
const (
	// DefaultASN is the first private AS number (RFC 6996).
	DefaultASN int64 = 64512
	// DefaultListenPort is BGP's (RFC 4271).
	DefaultListenPort int32 = 179
	// DefaultGracefulRestartSeconds covers an agent's image pull and restart.
	DefaultGracefulRestartSeconds int32 = 120
)

// Condition types of a BGPConfiguration besides Ready.
const (
	// ConditionConflict is True when another BGPConfiguration as specific selects the same nodes.
	ConditionConflict = "Conflict"
	// ConditionAddressesAccepted is False when a node that it governs may not have
	// the address that nodeAddress finds; the message says which and why.
	ConditionAddressesAccepted = "AddressesAccepted"
)

// BGPConfigurationSpec is how the nodes that it selects speak BGP.
type BGPConfigurationSpec struct {
	// nodeSelector names the nodes governed. Default: all. Where several select
	// a node, the one with most requirements wins; between equals the first by name.
	// +optional
	// +kubebuilder:validation:XValidation:rule="(!has(self.matchLabels) || size(self.matchLabels) <= 32) && (!has(self.matchExpressions) || size(self.matchExpressions) <= 32)",message="must have at most 32 matchLabels and 32 matchExpressions"
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn'] ? has(e.values) && size(e.values) > 0 : e.operator in ['Exists', 'DoesNotExist'] && (!has(e.values) || size(e.values) == 0))",message="each of matchExpressions must have an operator In or NotIn with values, or Exists or DoesNotExist without"
	NodeSelector *metav1.LabelSelector `json:"nodeSelector,omitempty"`
	// asNumber is the nodes' AS. Default 64512. A change resets every session.
	// +optional
	// +kubebuilder:default=64512
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4294967294
	ASNumber int64 `json:"asNumber,omitempty"`
	// listenPort is the TCP port of the speaker; -1 listens nowhere, so that
	// this node dials all its sessions. Default 179. A change resets every session.
	// +optional
	// +kubebuilder:default=179
	// +kubebuilder:validation:Minimum=-1
	// +kubebuilder:validation:Maximum=65535
	// +kubebuilder:validation:XValidation:rule="self != 0",message="must be a TCP port (1 to 65535), or -1 to listen nowhere"
	ListenPort int32 `json:"listenPort,omitempty"`
	// nodeMesh is Auto (default: mesh unless a BGPPeer selects the node), Enabled or Disabled.
	// +optional
	// +kubebuilder:default=Auto
	NodeMesh NodeMesh `json:"nodeMesh,omitempty"`
	// gracefulRestartSeconds is how long peers are asked to keep our routes while
	// the agent restarts (RFC 4724 Restart Time). Default 120. A change resets every session.
	// +optional
	// +kubebuilder:default=120
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4095
	GracefulRestartSeconds int32 `json:"gracefulRestartSeconds,omitempty"`
	// nodeAddress is how a node finds its own address. Default: the Node's InternalIP.
	// +optional
	NodeAddress *NodeAddress `json:"nodeAddress,omitempty"`
}

// BGPConfigurationStatus is what the controller found.
type BGPConfigurationStatus struct {
	// nodesGoverned counts the nodes whose settings come from this object.
	// +optional
	NodesGoverned int64 `json:"nodesGoverned"`
	// conditions are Ready, Conflict and AddressesAccepted.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// BGPConfiguration sets how nodes speak BGP.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 63",message="metadata.name must have at most 63 characters"
// +kubebuilder:printcolumn:name="ASN",type=integer,JSONPath=`.spec.asNumber`
// +kubebuilder:printcolumn:name="Mesh",type=string,JSONPath=`.spec.nodeMesh`
// +kubebuilder:printcolumn:name="Nodes",type=integer,JSONPath=`.status.nodesGoverned`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type BGPConfiguration struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              BGPConfigurationSpec   `json:"spec,omitempty"`
	Status            BGPConfigurationStatus `json:"status,omitempty"`
}

// BGPConfigurationList is a list of BGPConfigurations.
// +kubebuilder:object:root=true
type BGPConfigurationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BGPConfiguration `json:"items"`
}
