package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ConditionEstablished is True when every session that a BGPPeer asks for is established.
const ConditionEstablished = "Established"

// SecretKeyRef names a key of a Secret in Fairlead's own namespace.
type SecretKeyRef struct {
	// name of the Secret.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`
	// key within the Secret. Default "password".
	// +optional
	// +kubebuilder:default=password
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	Key string `json:"key,omitempty"`
}

// BGPPeerSpec is one neighbour of the nodes that it selects.
// +kubebuilder:validation:XValidation:rule="self.holdTimeSeconds >= 3 * self.keepaliveSeconds",fieldPath=".holdTimeSeconds",message="must be at least three times keepaliveSeconds (default 10)"
type BGPPeerSpec struct {
	// nodeSelector names the nodes that peer with this neighbour. Default: all.
	// +optional
	// +kubebuilder:validation:XValidation:rule="(!has(self.matchLabels) || size(self.matchLabels) <= 32) && (!has(self.matchExpressions) || size(self.matchExpressions) <= 32)",message="must have at most 32 matchLabels and 32 matchExpressions"
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn'] ? has(e.values) && size(e.values) > 0 : e.operator in ['Exists', 'DoesNotExist'] && (!has(e.values) || size(e.values) == 0))",message="each of matchExpressions must have an operator In or NotIn with values, or Exists or DoesNotExist without"
	NodeSelector *metav1.LabelSelector `json:"nodeSelector,omitempty"`
	// address is the neighbour's IPv4 or IPv6 address. The session carries the
	// routes of its own address family.
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=39
	// +kubebuilder:validation:XValidation:rule="isIP(self) && ip.isCanonical(self)",message="must be an IP address in canonical form, such as 192.0.2.1 or 2001:db8::1"
	// +kubebuilder:validation:XValidation:rule="!isIP(self) || ip(self).isGlobalUnicast() || ip(self).isLoopback() || ip(self).family() == 4 && ip(self).isLinkLocalUnicast()",message="must be a unicast address; an IPv6 link-local one names no interface"
	Address string `json:"address"`
	// asNumber is the neighbour's AS; equal to the node's own makes the session internal.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4294967294
	ASNumber int64 `json:"asNumber"`
	// authSecretRef names the TCP MD5 key (RFC 2385), in Fairlead's own
	// namespace. Without the Secret there is no session: never one without a key.
	// +optional
	AuthSecretRef *SecretKeyRef `json:"authSecretRef,omitempty"`
	// holdTimeSeconds is the hold time offered. Default 30.
	// +optional
	// +kubebuilder:default=30
	// +kubebuilder:validation:Minimum=3
	// +kubebuilder:validation:Maximum=65535
	HoldTimeSeconds int32 `json:"holdTimeSeconds,omitempty"`
	// keepaliveSeconds is the time between keepalives. Default 10.
	// +optional
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=21845
	KeepaliveSeconds int32 `json:"keepaliveSeconds,omitempty"`
	// connectRetrySeconds is the time between attempts to connect. Default 5.
	// +optional
	// +kubebuilder:default=5
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	ConnectRetrySeconds int32 `json:"connectRetrySeconds,omitempty"`
	// passive leaves it to the neighbour to connect. Default false: both sides try.
	// +optional
	Passive bool `json:"passive,omitempty"`
	// allowLocalAS is how often our own AS may stand in a path that we accept.
	// Default 0. Nodes that share an AS and reach each other through their ToR need 1.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10
	AllowLocalAS int32 `json:"allowLocalAS,omitempty"`
}

// BGPPeerStatus sums up what the nodes report.
type BGPPeerStatus struct {
	// sessionsWanted counts the nodes that should have a session.
	// +optional
	SessionsWanted int64 `json:"sessionsWanted"`
	// sessionsEstablished counts those that have one.
	// +optional
	SessionsEstablished int64 `json:"sessionsEstablished"`
	// conditions are Ready (the object can be used) and Established.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// BGPPeer is a neighbour outside Fairlead: a ToR, a route reflector, a router.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 63",message="metadata.name must have at most 63 characters"
// +kubebuilder:printcolumn:name="Address",type=string,JSONPath=`.spec.address`
// +kubebuilder:printcolumn:name="ASN",type=integer,JSONPath=`.spec.asNumber`
// +kubebuilder:printcolumn:name="Up",type=integer,JSONPath=`.status.sessionsEstablished`
// +kubebuilder:printcolumn:name="Wanted",type=integer,JSONPath=`.status.sessionsWanted`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type BGPPeer struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              BGPPeerSpec   `json:"spec"`
	Status            BGPPeerStatus `json:"status,omitempty"`
}

// BGPPeerList is a list of BGPPeers.
// +kubebuilder:object:root=true
type BGPPeerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BGPPeer `json:"items"`
}
