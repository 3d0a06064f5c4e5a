package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is fairlead.dev/v1alpha1.
var GroupVersion = schema.GroupVersion{Group: "fairlead.dev", Version: "v1alpha1"} //nolint:gochecknoglobals // a constant, of a type that Go has no constants of

// AddToScheme registers every kind of this package.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion,
		&AddressPlan{}, &AddressPlanList{},
		&BGPConfiguration{}, &BGPConfigurationList{},
		&BGPNode{}, &BGPNodeList{},
		&BGPPeer{}, &BGPPeerList{},
		&IPBlock{}, &IPBlockList{},
		&IPPool{}, &IPPoolList{},
		&NodeState{}, &NodeStateList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
