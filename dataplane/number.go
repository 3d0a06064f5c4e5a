// Package dataplane holds the value types of the kernel half, the pure diff
// between them, and every kernel number that Fairlead owns (docs/dataplane.md).
// Its subpackages each own one kind of kernel object; netlink is imported
// nowhere else in the module.
package dataplane

import "strings"

// Route protocol numbers (rtm_protocol, include/uapi/linux/rtnetlink.h): values
// above 4 are user space's to choose; these two are in nobody's rt_protos file.
// Two, so that the agent's route table and the plugin's pod routes can each be
// listed, and cleaned, without a look at the other.
const (
	// ProtocolRoute marks the agent's routes: its own blocks and learned prefixes.
	ProtocolRoute = 170
	// ProtocolPod marks the plugin's host routes to pods.
	ProtocolPod = 171
)

// Metric (RTA_PRIORITY) of every route under ProtocolRoute, in both families. It
// is above every default in use (0 IPv4 static and connected, 20 FRR, 32 BIRD,
// 256 IPv6 connected, 1024 IPv6 static and router advertisements), so anyone
// else's route to the same prefix wins over ours; and it is nobody's default,
// because the kernel's replace (NLM_F_REPLACE) asks for prefix and metric only,
// never for the protocol: with a metric in common it would take theirs away. It
// also keeps a pod's /32 (metric 0) and the blackhole of a one-address block apart.
const Metric = 1700

// Limits of an MTU.
const (
	// MinMTU is the least that IPv6 works with (RFC 8200 section 5): the kernel takes
	// IPv6 off a link with less.
	MinMTU = 1280
	// MaxMTU is the largest packet of IPv4.
	MaxMTU = 65535
)

// LinkPrefix starts the name of every host-side pod link.
const LinkPrefix = "fl"

// linkNameLength is as long as the kernel allows (IFNAMSIZ less the final zero).
const linkNameLength = 15

// IsPodLink says that a link is the host's end of a pod's: LinkPrefix, and a hash
// in the letters of base32 to the full length. flannel.1 is not.
func IsPodLink(name string) bool {
	hash, ours := strings.CutPrefix(name, LinkPrefix)
	return ours && len(name) == linkNameLength && strings.Trim(hash, "abcdefghijklmnopqrstuvwxyz234567") == ""
}
