package cluster

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"fairlead.dev/api/v1alpha1"
)

// born is the age of what the tables make; later counts seconds after it.
var born = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func age(name string, later int) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name), CreationTimestamp: metav1.NewTime(born.Add(time.Duration(later) * time.Second))}
}

func newNode(name string, later int, labels map[string]string, internal ...string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: age(name, later)}
	n.Labels = labels
	for _, a := range internal {
		n.Status.Addresses = append(n.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a})
	}
	return n
}

func newPool(name, cidr string, size int32) *v1alpha1.IPPool {
	return &v1alpha1.IPPool{ObjectMeta: age(name, 0), Spec: v1alpha1.IPPoolSpec{CIDR: cidr, BlockSize: &size, State: v1alpha1.PoolActive}}
}

func newPeer(name, address string, sel *metav1.LabelSelector) *v1alpha1.BGPPeer {
	return &v1alpha1.BGPPeer{ObjectMeta: age(name, 0), Spec: v1alpha1.BGPPeerSpec{Address: address, ASNumber: 65001, NodeSelector: sel}}
}

func newConfig(name string, asn int64, sel *metav1.LabelSelector) *v1alpha1.BGPConfiguration {
	return &v1alpha1.BGPConfiguration{ObjectMeta: age(name, 0), Spec: v1alpha1.BGPConfigurationSpec{ASNumber: asn, NodeSelector: sel}}
}

func byLabel(pairs ...string) *metav1.LabelSelector {
	sel := &metav1.LabelSelector{MatchLabels: map[string]string{}}
	for i := 0; i < len(pairs); i += 2 {
		sel.MatchLabels[pairs[i]] = pairs[i+1]
	}
	return sel
}

// wrong parses nowhere: the API server's schema lets it through.
func wrong() *metav1.LabelSelector {
	return byLabel("not a label", "r1")
}

func rack(name string) map[string]string { return map[string]string{"rack": name} }
