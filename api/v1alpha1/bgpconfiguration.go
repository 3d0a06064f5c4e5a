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

// Defaults of a node that no BGPConfiguration selects.
const (
	// DefaultASN is the first private AS number (RFC 6996).
	DefaultASN int64 = 64512
	// DefaultListenPort is BGP's (RFC 4271).
	DefaultListenPort int32 = 179
	// DefaultGracefulRestartSeconds covers an agent's image pull and restart.
	DefaultGracefulRestartSeconds int32 = 120
)

// ConditionConflict is True when another BGPConfiguration as specific selects the same nodes.
const ConditionConflict = "Conflict"

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
}

// BGPConfigurationStatus is what the controller found.
type BGPConfigurationStatus struct {
	// nodesGoverned counts the nodes whose settings come from this object.
	// +optional
	NodesGoverned int64 `json:"nodesGoverned"`
	// conditions are Ready and Conflict.
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
