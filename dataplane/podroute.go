package dataplane

import "net/netip"

// PodRoute is the plugin's host route to one address of a pod, in the main
// table, under ProtocolPod.
type PodRoute struct {
	Address netip.Addr
	// HostVeth is the name of the link that it points to.
	HostVeth string
}
