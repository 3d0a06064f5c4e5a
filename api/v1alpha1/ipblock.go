package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// BlockState is where a block is in its life: Leased, then Draining, then
// Cooling, then deleted. A block is never Leased again under the same UID
// once it is Cooling.
// +kubebuilder:validation:Enum=Leased;Draining;Cooling
type BlockState string

const (
	// BlockLeased blocks serve their node's pods.
	BlockLeased BlockState = "Leased"
	// BlockDraining blocks take no new pod; the agent lets theirs end,
	// withdraws, unprograms and reports the block's UID released.
	BlockDraining BlockState = "Draining"
	// BlockCooling blocks are nobody's until coolingUntil, then deleted.
	BlockCooling BlockState = "Cooling"
)

// IPBlockSpec is one block and the node that it is leased to.
// +kubebuilder:validation:XValidation:rule="has(self.coolingUntil) == (self.state == 'Cooling')",fieldPath=".coolingUntil",message="is required when state is Cooling, and is for no other state"
// +kubebuilder:validation:XValidation:rule="has(self.ipamOnly) == has(oldSelf.ipamOnly)",fieldPath=".ipamOnly",message="is immutable"
// +kubebuilder:validation:XValidation:rule="has(self.adopted) == has(oldSelf.adopted)",fieldPath=".adopted",message="is immutable"
// +kubebuilder:validation:XValidation:rule="oldSelf.state != 'Cooling' || self.state == 'Cooling'",fieldPath=".state",message="a Cooling block is only deleted, never leased again"
type IPBlockSpec struct {
	// cidr is the block, in canonical form. Immutable; metadata.name is derived from it.
	// +kubebuilder:validation:MinLength=4
	// +kubebuilder:validation:MaxLength=43
	// +kubebuilder:validation:XValidation:rule="isCIDR(self) && cidr(self) == cidr(self).masked() && string(cidr(self)) == self",message="must be a network in canonical form, such as 10.244.1.0/26"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="is immutable"
	CIDR string `json:"cidr"`
	// poolName names the pool that the block was carved from.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="is immutable"
	PoolName string `json:"poolName"`
	// poolUID tells the pool from another of the same name.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="is immutable"
	PoolUID string `json:"poolUID"`
	// nodeName is the node that holds the lease. Immutable.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="is immutable"
	NodeName string `json:"nodeName"`
	// nodeUID tells the node from another of the same name. A node that comes
	// back within the grace time is stamped here with its new UID.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	NodeUID string `json:"nodeUID"`
	// ipamOnly is set on the blocks of a pool with advertise false, so that the
	// agent knows it of a block that outlives its pool. Immutable.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="is immutable"
	IPAMOnly bool `json:"ipamOnly,omitempty"`
	// adopted is set on the blocks of a pool with source NodeSpec: another network of
	// the node may have given addresses of it to pods that live on. Immutable.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="is immutable"
	Adopted bool `json:"adopted,omitempty"`
	// state is Leased, Draining or Cooling.
	State BlockState `json:"state"`
	// coolingUntil is when a Cooling block may be deleted.
	// +optional
	CoolingUntil *metav1.Time `json:"coolingUntil,omitempty"`
}

// IPBlock is a block leased to a node. Its name is its CIDR with ':' and '/'
// as '-', so that within one carving creating it is the lock.
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=ipb
// +kubebuilder:selectablefield:JSONPath=`.spec.nodeName`
// +kubebuilder:validation:XValidation:rule="self.metadata.name == self.spec.cidr.replace(':', '-').replace('/', '-')",message="metadata.name must be spec.cidr with ':' and '/' as '-'"
// +kubebuilder:printcolumn:name="CIDR",type=string,JSONPath=`.spec.cidr`
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.spec.nodeName`
// +kubebuilder:printcolumn:name="Pool",type=string,JSONPath=`.spec.poolName`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.spec.state`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type IPBlock struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              IPBlockSpec `json:"spec"`
}

// IPBlockList is a list of IPBlocks.
// +kubebuilder:object:root=true
type IPBlockList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []IPBlock `json:"items"`
}
