package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// PoolState says what a pool may still do.
// +kubebuilder:validation:Enum=Active;Draining;Disabled
type PoolState string

const (
	// PoolActive leases blocks to every node that it selects.
	PoolActive PoolState = "Active"
	// PoolDraining leases nothing and takes its blocks back as their pods end.
	PoolDraining PoolState = "Draining"
	// PoolDisabled leases nothing; what is leased stays leased and in use.
	PoolDisabled PoolState = "Disabled"
)

// Encapsulation says how nodes send to the blocks of a pool that other nodes hold.
// +kubebuilder:validation:Enum=None;VXLAN;VXLANCrossSubnet
type Encapsulation string

const (
	// EncapsulationNone sends as BGP says.
	EncapsulationNone Encapsulation = "None"
	// EncapsulationVXLAN sends by VXLAN (RFC 7348).
	EncapsulationVXLAN Encapsulation = "VXLAN"
	// EncapsulationVXLANCrossSubnet sends to nodes of the same subnet as they are,
	// to others by VXLAN.
	EncapsulationVXLANCrossSubnet Encapsulation = "VXLANCrossSubnet"
)

// PoolSource says who decides which block a node has.
// +kubebuilder:validation:Enum=Managed;NodeSpec
type PoolSource string

const (
	// SourceManaged blocks are carved from the range by Fairlead.
	SourceManaged PoolSource = "Managed"
	// SourceNodeSpec blocks are what Node spec.podCIDRs says.
	SourceNodeSpec PoolSource = "NodeSpec"
)

// Condition types of an IPPool.
const (
	// ConditionReady is True when the pool holds its range in the AddressPlan; other
	// kinds have it too: when the object can be used, when the node serves pods.
	ConditionReady = "Ready"
	// ConditionOverlap is True when another pool, the plan, a Node or the API server's
	// Service holds part of the range.
	ConditionOverlap = "Overlap"
	// ConditionExhausted is True when a node waits for a block that the pool no longer has.
	ConditionExhausted = "Exhausted"
	// ConditionLimited is True when a node asks for more blocks than maxBlocksPerNode.
	ConditionLimited = "Limited"
	// ConditionAdopted, of a pool with source NodeSpec only, is False when a node that
	// it selects has no podCIDR that can be its block; the message names node and field.
	ConditionAdopted = "Adopted"
)

// DefaultMaxBlocksPerNode is maxBlocksPerNode where it is not set.
const DefaultMaxBlocksPerNode = 4

// Prefix lengths of a pool's blocks where it names none.
const (
	// DefaultBlockSize4 makes blocks of 64 addresses.
	DefaultBlockSize4 = 26
	// DefaultBlockSize6 makes blocks of 64 addresses.
	DefaultBlockSize6 = 122
)

// IPPoolSpec describes a range of pod addresses and who may lease from it.
// +kubebuilder:validation:XValidation:rule="has(self.blockSize) == has(oldSelf.blockSize)",fieldPath=".blockSize",message="is immutable, also where it was left to its default: create another pool and set this one to Draining"
// +kubebuilder:validation:XValidation:rule="!isCIDR(self.cidr) || !has(self.blockSize) || (cidr(self.cidr).ip().family() == 4 ? self.blockSize >= 20 && self.blockSize <= 32 : self.blockSize >= (self.source == 'NodeSpec' ? 64 : 112))",fieldPath=".blockSize",messageExpression="cidr(self.cidr).ip().family() == 4 ? 'must be 20 to 32 for the IPv4 cidr ' + self.cidr : 'must be ' + (self.source == 'NodeSpec' ? '64' : '112') + ' to 128 for the IPv6 cidr ' + self.cidr"
// +kubebuilder:validation:XValidation:rule="self.source != 'NodeSpec' || has(self.blockSize)",fieldPath=".blockSize",message="must be set in a pool with source NodeSpec: the prefix length of the Nodes' spec.podCIDRs"
// +kubebuilder:validation:XValidation:rule="self.source != 'NodeSpec' || self.advertise",fieldPath=".source",message="must be Managed in a pool with advertise false: podCIDRs are for pods"
// +kubebuilder:validation:XValidation:rule="!isCIDR(self.cidr) || (has(self.blockSize) ? self.blockSize : cidr(self.cidr).ip().family() == 4 ? 26 : 122) >= cidr(self.cidr).prefixLength()",fieldPath=".blockSize",messageExpression="(has(self.blockSize) ? 'a block' : 'the default block (26 for IPv4, 122 for IPv6)') + ' must not be larger than the pool: must be at least the prefix length of cidr ' + self.cidr"
// +kubebuilder:validation:XValidation:rule="!isCIDR(self.cidr) || !has(self.reserved) || self.reserved.all(r, !isCIDR(r) || cidr(self.cidr).containsCIDR(r))",fieldPath=".reserved",messageExpression="'must lie inside cidr ' + self.cidr"
// +kubebuilder:validation:XValidation:rule="self.advertise || !has(self.encapsulation) || self.encapsulation == 'None'",fieldPath=".encapsulation",message="must be None in a pool with advertise false: no pod of ours has its addresses"
// +kubebuilder:validation:XValidation:rule="self.advertise || !has(self.natOutgoing) || !self.natOutgoing",fieldPath=".natOutgoing",message="must be false in a pool with advertise false: no pod of ours has its addresses"
type IPPoolSpec struct {
	// cidr is the range that blocks are carved from, in canonical form
	// (10.244.0.0/16, fd00:10:244::/64). Immutable.
	// +kubebuilder:validation:MinLength=4
	// +kubebuilder:validation:MaxLength=43
	// +kubebuilder:validation:XValidation:rule="isCIDR(self) && cidr(self) == cidr(self).masked() && string(cidr(self)) == self",message="must be a network in canonical form, such as 10.244.0.0/16 or fd00:10:244::/64"
	// +kubebuilder:validation:XValidation:rule="!isCIDR(self) || cidr(self).ip().isGlobalUnicast() && !self.startsWith(':')",message="must be a range of unicast addresses, not unspecified, loopback, link-local or multicast"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="is immutable: create another pool and set this one to Draining"
	CIDR string `json:"cidr"`

	// blockSize is the prefix length of one block, the unit that is leased to
	// a node: 20 to 32 for IPv4 (default 26, 64 addresses), 112 to 128 for IPv6
	// (default 122; 64 to 128 with source NodeSpec). Not larger than the pool. Immutable.
	// +optional
	// +kubebuilder:validation:Minimum=20
	// +kubebuilder:validation:Maximum=128
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="is immutable: create another pool and set this one to Draining"
	BlockSize *int32 `json:"blockSize,omitempty"`

	// source says who decides which block a node has. Managed (default): Fairlead
	// carves cidr into blocks. NodeSpec: the block is what Node spec.podCIDRs already
	// says, for a cluster that moves in with running pods. blockSize is then the prefix
	// length of the podCIDRs, and a node has that one block: maxBlocksPerNode does not
	// count. Immutable.
	// +optional
	// +kubebuilder:default=Managed
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="is immutable: create another pool and set this one to Draining"
	Source PoolSource `json:"source,omitempty"`

	// nodeSelector names the nodes that lease from this pool. Default: all.
	// A node that no longer matches keeps its block.
	// +optional
	// +kubebuilder:validation:XValidation:rule="(!has(self.matchLabels) || size(self.matchLabels) <= 32) && (!has(self.matchExpressions) || size(self.matchExpressions) <= 32)",message="must have at most 32 matchLabels and 32 matchExpressions"
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn'] ? has(e.values) && size(e.values) > 0 : e.operator in ['Exists', 'DoesNotExist'] && (!has(e.values) || size(e.values) == 0))",message="each of matchExpressions must have an operator In or NotIn with values, or Exists or DoesNotExist without"
	NodeSelector *metav1.LabelSelector `json:"nodeSelector,omitempty"`

	// reserved lists ranges inside cidr that no pod gets. A pod that already
	// has such an address keeps it.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=43
	// +kubebuilder:validation:items:XValidation:rule="isCIDR(self) && cidr(self) == cidr(self).masked() && string(cidr(self)) == self",message="must be a network in canonical form, such as 10.244.0.0/28 or, for one address, 10.244.0.1/32"
	Reserved []string `json:"reserved,omitempty"`

	// advertise says whom the pool is for. True (default): for pods; its blocks
	// are routed and announced over BGP. False: for attachments of other plugins
	// that name the pool in their fairlead-ipam configuration; no pod of ours gets
	// its addresses, its blocks are neither announced nor routed, and no peer's
	// route into its range is taken. Immutable, since either change would cut off
	// whatever uses its addresses.
	// +optional
	// +kubebuilder:default=true
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="is immutable: create another pool and set this one to Draining"
	Advertise *bool `json:"advertise,omitempty"`

	// maxBlocksPerNode bounds the blocks that a node may have. It begins with one
	// and asks for another when its free addresses run low; one that stays empty
	// goes back to the pool. Default 4: with blocks of the default size these are
	// 256 addresses, above the 110 pods of a kubelet's default and the 250 that
	// large nodes are set to, and no node, whatever it claims, takes more of the
	// pool. 1 turns growth off. Lowered, it takes nothing away. At most 64, since a
	// NodeState lists no more than 256 blocks of all pools.
	// +optional
	// +kubebuilder:default=4
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=64
	MaxBlocksPerNode *int32 `json:"maxBlocksPerNode,omitempty"`

	// encapsulation says how nodes send to this pool's blocks on other nodes: None
	// (default), as BGP says; VXLAN, for an underlay that does not route pod
	// addresses; VXLANCrossSubnet, VXLAN but for nodes of the same subnet, which are
	// sent to directly. Blocks are announced over BGP all the same.
	// +optional
	// +kubebuilder:default=None
	Encapsulation Encapsulation `json:"encapsulation,omitempty"`

	// natOutgoing translates what pods of this pool send to addresses of no pool
	// to the address of their node. Default false.
	// +optional
	NATOutgoing bool `json:"natOutgoing,omitempty"`

	// state is Active (default), Draining or Disabled.
	// +optional
	// +kubebuilder:default=Active
	State PoolState `json:"state,omitempty"`
}

// IPPoolStatus is what the controller found.
type IPPoolStatus struct {
	// blockCapacity is how many blocks the range holds.
	// +optional
	BlockCapacity int64 `json:"blockCapacity"`
	// blocksLeased counts the pool's IPBlocks, whatever their state.
	// +optional
	BlocksLeased int64 `json:"blocksLeased"`
	// addressesUsed counts addresses in use, as the nodes report them.
	// +optional
	AddressesUsed int64 `json:"addressesUsed"`
	// conditions are Ready, Overlap, Exhausted and Limited, and with source NodeSpec
	// Adopted.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// IPPool is a range of pod addresses, carved into blocks.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=ipp
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 63",message="metadata.name must have at most 63 characters"
// +kubebuilder:printcolumn:name="CIDR",type=string,JSONPath=`.spec.cidr`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.spec.state`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Leased",type=integer,JSONPath=`.status.blocksLeased`
// +kubebuilder:printcolumn:name="Blocks",type=integer,JSONPath=`.status.blockCapacity`
// +kubebuilder:printcolumn:name="Used",type=integer,JSONPath=`.status.addressesUsed`
// +kubebuilder:printcolumn:name="Max",type=integer,priority=1,JSONPath=`.spec.maxBlocksPerNode`
// +kubebuilder:printcolumn:name="Advertised",type=boolean,priority=1,JSONPath=`.spec.advertise`
// +kubebuilder:printcolumn:name="Source",type=string,priority=1,JSONPath=`.spec.source`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type IPPool struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              IPPoolSpec   `json:"spec"`
	Status            IPPoolStatus `json:"status,omitempty"`
}

// IPPoolList is a list of IPPools.
// +kubebuilder:object:root=true
type IPPoolList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []IPPool `json:"items"`
}
