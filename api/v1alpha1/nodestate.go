package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Condition types of a NodeState besides Ready.
const (
	// ConditionRoutesInSync is True when the kernel holds exactly the wanted routes.
	ConditionRoutesInSync = "RoutesInSync"
	// ConditionSessionsEstablished is True when every wanted session is established.
	ConditionSessionsEstablished = "SessionsEstablished"
	// ConditionAddressesAvailable is True when every family leased for pods has a
	// free address; its reason tells when they run low.
	ConditionAddressesAvailable = "AddressesAvailable"
	// ConditionConfigAccepted is False when an object could not be used; the message names it.
	ConditionConfigAccepted = "ConfigAccepted"
	// ConditionCNIConfigured is True when the container runtime's first
	// configuration is ours, so that new pods of the node are.
	ConditionCNIConfigured = "CNIConfigured"
	// ConditionNodeAddresses is True when the node has every address that its
	// BGPNode gives it, and, by any other rule than InternalIP, finds no other.
	ConditionNodeAddresses = "NodeAddresses"
	// ConditionAgentReachable is the controller's: Unknown when the rest is only what
	// was last known.
	ConditionAgentReachable = "AgentReachable"
)

// SessionStatus is one BGP session as the node's speaker sees it.
type SessionStatus struct {
	// peer is the BGPPeer's name, or node/NAME for a session of the mesh.
	// +kubebuilder:validation:MaxLength=260
	Peer string `json:"peer"`
	// address is the neighbour's.
	// +kubebuilder:validation:MaxLength=45
	Address string `json:"address"`
	// asNumber is the neighbour's AS as configured.
	ASNumber int64 `json:"asNumber"`
	// state is the FSM's (RFC 4271 section 8): Idle, Connect, Active, OpenSent, OpenConfirm, Established.
	// +kubebuilder:validation:MaxLength=16
	State string `json:"state"`
	// since is when the session was last established.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
	// received counts prefixes received.
	Received int64 `json:"received"`
	// accepted counts those that passed the import policy.
	Accepted int64 `json:"accepted"`
	// advertised counts prefixes sent.
	Advertised int64 `json:"advertised"`
	// lastError says why the session is not established, as far as is known.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	LastError string `json:"lastError,omitempty"`
}

// BlockStatus is one leased block on the node.
type BlockStatus struct {
	// cidr is the block.
	// +kubebuilder:validation:MaxLength=43
	CIDR string `json:"cidr"`
	// uid is the IPBlock's.
	// +kubebuilder:validation:MaxLength=63
	UID string `json:"uid"`
	// capacity counts the addresses that pods may get or have.
	Capacity int64 `json:"capacity"`
	// used counts the addresses in use.
	Used int64 `json:"used"`
	// foreign counts those of used that another network of the node gave out, before
	// it moved to Fairlead or beside it.
	// +optional
	Foreign int64 `json:"foreign,omitempty"`
	// programmed says that the kernel holds the block's route.
	Programmed bool `json:"programmed"`
	// advertised says that the block is announced over BGP.
	Advertised bool `json:"advertised"`
	// ipamOnly says that the block is for fairlead-ipam alone: never programmed,
	// never advertised.
	// +optional
	IPAMOnly bool `json:"ipamOnly,omitempty"`
	// closed says that the block gives out no address any more: it is taken back,
	// or, while it is still Leased, given back since it has long been empty.
	// +optional
	Closed bool `json:"closed,omitempty"`
}

// WantedBlocks is how many blocks a node needs from one pool.
type WantedBlocks struct {
	// pool is the IPPool's name.
	// +kubebuilder:validation:MaxLength=253
	Pool string `json:"pool"`
	// poolUID tells the pool from another of the same name.
	// +kubebuilder:validation:MaxLength=63
	PoolUID string `json:"poolUID"`
	// count is how many Leased blocks of the pool the node needs in all: more than
	// it has when its free addresses run low, fewer when it gives one back.
	// +kubebuilder:validation:Minimum=0
	Count int64 `json:"count"`
}

// RouteCounts counts the routes of the agent in the kernel.
type RouteCounts struct {
	// wanted counts the routes planned.
	Wanted int64 `json:"wanted"`
	// installed counts those read back from the kernel.
	Installed int64 `json:"installed"`
	// failed counts those that the kernel refused.
	Failed int64 `json:"failed"`
}

// NodeStateStatus is what one agent reports about its node.
type NodeStateStatus struct {
	// nodeUID is the UID of the node reported about, from its BGPNode.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	NodeUID string `json:"nodeUID,omitempty"`
	// bootID is the kernel's (/proc/sys/kernel/random/boot_id): a report of another
	// boot than Node status.nodeInfo.bootID is no longer true of the node.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	BootID string `json:"bootID,omitempty"`
	// asNumber is the AS in use.
	// +optional
	ASNumber int64 `json:"asNumber,omitempty"`
	// routerID is the BGP identifier in use.
	// +optional
	// +kubebuilder:validation:MaxLength=15
	RouterID string `json:"routerID,omitempty"`
	// sessions, sorted by peer and address.
	// +optional
	// +listType=map
	// +listMapKey=peer
	// +listMapKey=address
	// +kubebuilder:validation:MaxItems=1024
	Sessions []SessionStatus `json:"sessions,omitempty"`
	// sessionsWanted and sessionsEstablished sum sessions up for the printed columns.
	// +optional
	SessionsWanted int64 `json:"sessionsWanted"`
	// +optional
	SessionsEstablished int64 `json:"sessionsEstablished"`
	// blocks, sorted by cidr.
	// +optional
	// +listType=map
	// +listMapKey=cidr
	// +kubebuilder:validation:MaxItems=256
	Blocks []BlockStatus `json:"blocks,omitempty"`
	// addressesUsed sums blocks up for the printed columns.
	// +optional
	AddressesUsed int64 `json:"addressesUsed"`
	// releasedBlocks holds the UIDs of the Draining blocks that this node
	// holds nothing of any more: no pod, no announcement, no route.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=63
	ReleasedBlocks []string `json:"releasedBlocks,omitempty"`
	// wantedBlocks, sorted by pool, has a line for each pool that the node has a
	// Leased block of. The controller gives no more than the pool's maxBlocksPerNode.
	// +optional
	// +listType=map
	// +listMapKey=poolUID
	// +kubebuilder:validation:MaxItems=256
	WantedBlocks []WantedBlocks `json:"wantedBlocks,omitempty"`
	// routes counts kernel routes.
	// +optional
	Routes RouteCounts `json:"routes,omitempty"`
	// candidateAddresses are the node's addresses as found by BGPNode
	// spec.nodeAddress, at most one of each family.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=2
	// +kubebuilder:validation:items:MaxLength=39
	CandidateAddresses []string `json:"candidateAddresses,omitempty"`
	// vtep is there while the node's VXLAN device is programmed.
	// +optional
	VTEP *VTEP `json:"vtep,omitempty"`
	// conditions are Ready, RoutesInSync, SessionsEstablished, AddressesAvailable,
	// ConfigAccepted, CNIConfigured and NodeAddresses, and the controller's AgentReachable.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// NodeState is written by the agent of the node that it is named after, on change,
// rate-limited, never on a timer. One condition is the controller's: without
// AgentReachable=True the rest is what was last known.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reachable",type=string,JSONPath=`.status.conditions[?(@.type=="AgentReachable")].status`
// +kubebuilder:printcolumn:name="ASN",type=integer,JSONPath=`.status.asNumber`
// +kubebuilder:printcolumn:name="Up",type=integer,JSONPath=`.status.sessionsEstablished`
// +kubebuilder:printcolumn:name="Sessions",type=integer,JSONPath=`.status.sessionsWanted`
// +kubebuilder:printcolumn:name="Routes",type=integer,JSONPath=`.status.routes.installed`
// +kubebuilder:printcolumn:name="Used",type=integer,JSONPath=`.status.addressesUsed`
// +kubebuilder:printcolumn:name="Addresses",type=string,JSONPath=`.status.conditions[?(@.type=="AddressesAvailable")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type NodeState struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Status            NodeStateStatus `json:"status,omitempty"`
}

// NodeStateList is a list of NodeStates.
// +kubebuilder:object:root=true
type NodeStateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []NodeState `json:"items"`
}
