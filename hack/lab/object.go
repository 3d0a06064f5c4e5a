package lab

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/config"
	"fairlead.dev/hack/lab/topology"
)

// RackLabel is on every Node; BGPConfigurations and BGPPeers select by it.
const RackLabel = "fairlead.dev/rack"

// Timers of the nodes' sessions, in seconds, as short as the routers'.
const (
	holdTimeSeconds     = 9
	keepaliveSeconds    = 3
	connectRetrySeconds = 1
)

// mapper knows the kinds that the lab uses, so that a client starts without a
// question to the API server.
func mapper() meta.RESTMapper {
	m := meta.NewDefaultRESTMapper(nil)
	for _, kind := range []string{"Node"} {
		m.Add(corev1.SchemeGroupVersion.WithKind(kind), meta.RESTScopeRoot)
	}
	for _, kind := range []string{"Namespace"} {
		m.Add(corev1.SchemeGroupVersion.WithKind(kind), meta.RESTScopeRoot)
	}
	for _, kind := range []string{"Secret", "Service", "ServiceAccount", "Event", "Pod"} {
		m.Add(corev1.SchemeGroupVersion.WithKind(kind), meta.RESTScopeNamespace)
	}
	for _, kind := range []string{"AddressPlan", "BGPConfiguration", "BGPNode", "BGPPeer", "IPBlock", "IPPool", "NodeState"} {
		m.Add(v1alpha1.GroupVersion.WithKind(kind), meta.RESTScopeRoot)
	}
	return m
}

// createObjects is what the cluster's admin does once.
func (l *Lab) createObjects(ctx context.Context, topo topology.Topology) error {
	return each(ctx, Objects(topo), func(ctx context.Context, o client.Object) error {
		if err := l.cluster.client.Create(ctx, o); err != nil {
			return fmt.Errorf("create %T %s: %w", o, o.GetName(), err)
		}
		return nil
	})
}

// Objects are the pools, BGPConfigurations, BGPPeers and Secrets that a cluster's
// admin writes for a topology.
func Objects(topo topology.Topology) []client.Object {
	var objects []client.Object
	for _, p := range topo.Pools {
		objects = append(objects, &v1alpha1.IPPool{
			ObjectMeta: metav1.ObjectMeta{Name: p.Name},
			Spec:       v1alpha1.IPPoolSpec{CIDR: p.CIDR.String(), BlockSize: &p.BlockSize},
		})
	}
	for _, rack := range topo.Racks {
		selector := &metav1.LabelSelector{MatchLabels: map[string]string{RackLabel: rack.Name}}
		objects = append(objects, &v1alpha1.BGPConfiguration{
			ObjectMeta: metav1.ObjectMeta{Name: rack.Name},
			Spec:       v1alpha1.BGPConfigurationSpec{NodeSelector: selector, ASNumber: int64(rack.NodeASN)},
		})
		for i, tor := range rack.ToRs {
			if tor.Password != "" {
				objects = append(objects, secretOf(tor))
			}
			for _, f := range topo.Families() {
				objects = append(objects, peerOf(rack, i, f, selector))
			}
		}
	}
	return objects
}

// PeerName is the name of the BGPPeer for a ToR and family.
func PeerName(tor string, f topology.Family) string { return tor + "-" + f.String() }

func peerOf(rack topology.Rack, i int, f topology.Family, selector *metav1.LabelSelector) *v1alpha1.BGPPeer {
	tor := rack.ToRs[i]
	p := &v1alpha1.BGPPeer{
		ObjectMeta: metav1.ObjectMeta{Name: PeerName(tor.Name, f)},
		Spec: v1alpha1.BGPPeerSpec{
			NodeSelector: selector, Address: rack.ToRAddress(f, i).String(), ASNumber: int64(rack.ToRASN),
			HoldTimeSeconds: holdTimeSeconds, KeepaliveSeconds: keepaliveSeconds, ConnectRetrySeconds: connectRetrySeconds,
			Passive: tor.DialsNodes,
			// The other nodes of the rack have our own AS.
			AllowLocalAS: 1,
		},
	}
	if tor.Password != "" {
		p.Spec.AuthSecretRef = &v1alpha1.SecretKeyRef{Name: secretName(tor)}
	}
	return p
}

func secretName(tor topology.Router) string { return "bgp-" + tor.Name }

func secretOf(tor topology.Router) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: secretName(tor), Namespace: config.DefaultNamespace},
		StringData: map[string]string{"password": tor.Password},
	}
}

// NodeObject is the Node that a kubelet would register.
func NodeObject(topo topology.Topology, name string) (*corev1.Node, error) {
	rack, n, err := topo.Node(name)
	if err != nil {
		return nil, err
	}
	labels := map[string]string{RackLabel: rack.Name, corev1.LabelHostname: n.Name}
	for k, v := range n.Labels {
		labels[k] = v
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: labels}}
	for _, f := range topo.Families() {
		node.Status.Addresses = append(node.Status.Addresses,
			corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: rack.NodeAddress(f, n).String()})
	}
	node.Status.Addresses = append(node.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeHostName, Address: n.Name})
	node.Status.Conditions = []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "Lab", Message: "the lab plays the kubelet",
		LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now(),
	}}
	return node, nil
}

// createNode registers a Node as its kubelet would, again if it is there.
func (l *Lab) createNode(ctx context.Context, name string) error {
	node, err := NodeObject(l.Topology(), name)
	if err != nil {
		return err
	}
	if err := l.cluster.client.Create(ctx, node); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create node %s: %w", name, err)
	}
	return nil
}
