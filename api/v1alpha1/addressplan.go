package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// AddressPlanName is the name of the only AddressPlan.
const AddressPlanName = "cluster"

// AddressPlanEntry says that a pool holds a range and how it is carved.
// +kubebuilder:validation:XValidation:rule="!isCIDR(self.cidr) || self.blockSize >= cidr(self.cidr).prefixLength() && (cidr(self.cidr).ip().family() == 6 || self.blockSize <= 32)",fieldPath=".blockSize",message="must be a prefix length inside cidr"
type AddressPlanEntry struct {
	// cidr is the range held.
	// +kubebuilder:validation:MinLength=4
	// +kubebuilder:validation:MaxLength=43
	// +kubebuilder:validation:XValidation:rule="isCIDR(self) && cidr(self) == cidr(self).masked() && string(cidr(self)) == self",message="must be a network in canonical form, such as 10.244.0.0/16 or fd00:10:244::/64"
	CIDR string `json:"cidr"`
	// blockSize is the prefix length of the range's blocks.
	// +kubebuilder:validation:Minimum=20
	// +kubebuilder:validation:Maximum=128
	BlockSize int32 `json:"blockSize"`
	// poolName names the pool that holds the range.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	PoolName string `json:"poolName"`
	// poolUID tells the pool from another of the same name.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	PoolUID string `json:"poolUID"`
	// ipamOnly is set on the range of a pool with advertise false: no peer's route
	// into it is taken, also while it outlives its pool.
	// +optional
	IPAMOnly bool `json:"ipamOnly,omitempty"`
}

// AddressPlanSpec is the whole carving of the cluster's pod addresses.
type AddressPlanSpec struct {
	// entries do not overlap: the controller sees to it, and up to 128 of them
	// the API server, whose rules may cost no more. One stays while any block
	// lies in it.
	// +optional
	// +listType=map
	// +listMapKey=cidr
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:XValidation:rule="size(self) > 128 || self.all(a, self.all(b, a.cidr == b.cidr || !isCIDR(a.cidr) || !isCIDR(b.cidr) || !cidr(a.cidr).containsCIDR(b.cidr)))",message="must not overlap"
	Entries []AddressPlanEntry `json:"entries,omitempty"`
}

// AddressPlan is written by the controller only, by compare-and-swap on its
// resourceVersion: a pool without its entry here leases nothing, so that two
// controllers can never carve one range in two ways.
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster
// +kubebuilder:validation:XValidation:rule="self.metadata.name == 'cluster'",message="there is one AddressPlan, named cluster"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type AddressPlan struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              AddressPlanSpec `json:"spec,omitempty"`
}

// AddressPlanList is a list of AddressPlans.
// +kubebuilder:object:root=true
type AddressPlanList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []AddressPlan `json:"items"`
}
