package lab

import "net/netip"

// Wants is what a pod asks of its network beyond an address. A runtime reads it
// from the pod's spec and annotations, and tells it to those plugins of the chain
// that have the capability.
type Wants struct {
	HostPorts []HostPort `json:"hostPorts,omitempty"`
	Bandwidth *Bandwidth `json:"bandwidth,omitempty"`
	// IPs are addresses by name, at most one of each family.
	IPs []netip.Addr `json:"ips,omitempty"`
	// MAC is the pod's, such as 02:00:5e:00:53:01.
	MAC string `json:"mac,omitempty"`
}

// HostPort is a port of the node that leads to one of the pod's. It is the JSON
// of the portMappings capability.
type HostPort struct {
	HostPort      int `json:"hostPort"`
	ContainerPort int `json:"containerPort"`
	// Protocol is tcp, udp or sctp.
	Protocol string `json:"protocol"`
	// HostIP limits the port to one address of the node; "" is all of them.
	HostIP string `json:"hostIP,omitempty"`
}

// Bandwidth limits a pod's traffic, ingress being what it receives: rates in bits
// per second, bursts in bits; zero for both is no limit. It is the JSON of the
// bandwidth capability.
type Bandwidth struct {
	IngressRate  uint64 `json:"ingressRate"`
	IngressBurst uint64 `json:"ingressBurst"`
	EgressRate   uint64 `json:"egressRate"`
	EgressBurst  uint64 `json:"egressBurst"`
}

// capabilityArgs has a key only for what is asked for, as kubelet's runtimes do.
func (w Wants) capabilityArgs() map[string]any {
	args := map[string]any{}
	if len(w.HostPorts) > 0 {
		args["portMappings"] = w.HostPorts
	}
	if w.Bandwidth != nil {
		args["bandwidth"] = w.Bandwidth
	}
	if len(w.IPs) > 0 {
		args["ips"] = w.IPs
	}
	if w.MAC != "" {
		args["mac"] = w.MAC
	}
	return args
}
