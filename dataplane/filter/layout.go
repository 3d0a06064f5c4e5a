package filter

import (
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Name of the table, of family inet. It is the mark: what is in it is ours, and
// nothing else is.
const Name = "fairlead"

// Sets and maps of the table. What they hold is all that varies.
const (
	setPods4       = "pods4"
	setPods6       = "pods6"
	setTranslated4 = "translated4"
	setTranslated6 = "translated6"
	mapUplinks4    = "uplinks4"
	mapUplinks6    = "uplinks6"
	setNear4       = "near4"
	setNear6       = "near6"
)

// Chains. The first of each pair is hooked, the second is for pods' links alone.
const (
	chainPrerouting  = "prerouting"
	chainSource      = "source"
	chainInput       = "input"
	chainNode        = "node"
	chainPostrouting = "postrouting"
)

// afterKubeProxy is the priority of translation: what kube-proxy translates, in
// nftables or iptables mode at srcnat (100), is its own to decide (a pod that
// reaches itself by a Service, a client from outside), and its mark is taken
// off by the rule that does it.
const afterKubeProxy = nftables.ChainPriority(110)

// Addresses that only the node answers at on a pod's link.
var (
	near4 = [...]netip.Prefix{
		netip.MustParsePrefix("127.0.0.0/8"),        // route_localnet lets them in (CVE-2020-8558)
		netip.MustParsePrefix("169.254.0.0/16"),     // the gateway, and what else the node has of RFC 3927
		netip.MustParsePrefix("224.0.0.0/24"),       // this link's multicast: sockets bound to no address hear it
		netip.MustParsePrefix("255.255.255.255/32"), // this link's broadcast
	}
	near6 = [...]netip.Prefix{
		netip.MustParsePrefix("fe80::/10"),
		netip.MustParsePrefix("ff02::/16"),
	}
	// nodeLocalDNS is the address that node-local-dns binds unless told otherwise.
	nodeLocalDNS = netip.MustParseAddr("169.254.20.10")
	linkLocal    = netip.MustParsePrefix("fe80::/10")
)

// ICMP types that no pod has to send.
const (
	icmpRedirect        = 5   // RFC 792
	routerAdvertisement = 134 // RFC 4861 section 4.2
	redirect6           = 137 // RFC 4861 section 4.5
)

const portDNS = 53

// set is a set or map of the table.
type set struct {
	nftables.Set
	elements []nftables.SetElement
}

// chain is a chain of the table with its rules.
type chain struct {
	nftables.Chain
	rules []rule
}

// rule says why it is there to whoever lists the table.
type rule struct {
	comment string
	exprs   []expr.Any
}

func addressSet(name, comment string, key nftables.SetDatatype) nftables.Set {
	return nftables.Set{Name: name, Comment: comment, KeyType: key, Interval: true, KeyByteOrder: binaryutil.BigEndian}
}

func uplinkMap(name string, data nftables.SetDatatype) nftables.Set {
	return nftables.Set{
		Name: name, Comment: "links that share the default route, and the node's address", IsMap: true,
		KeyType: nftables.TypeIFName, DataType: data, KeyByteOrder: binaryutil.NativeEndian,
	}
}

func chains() []chain {
	return []chain{
		{
			Chain: nftables.Chain{
				Name: chainPrerouting, Type: nftables.ChainTypeFilter,
				Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityRaw,
			},
			rules: []rule{{"links of pods", match(podLink(), jump(chainSource))}},
		},
		{Chain: nftables.Chain{Name: chainSource}, rules: sourceRules()},
		{
			Chain: nftables.Chain{
				Name: chainInput, Type: nftables.ChainTypeFilter,
				Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter,
			},
			rules: []rule{{"links of pods", match(podLink(), jump(chainNode))}},
		},
		{Chain: nftables.Chain{Name: chainNode}, rules: nodeRules()},
		{
			Chain: nftables.Chain{
				Name: chainPostrouting, Type: nftables.ChainTypeNAT,
				Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityRef(afterKubeProxy),
			},
			rules: translationRules(),
		},
	}
}

// sourceRules come before connection tracking, so that what they drop leaves no
// trace in it. They are short: every packet of a pod meets them.
func sourceRules() []rule {
	discovery := "neighbour discovery"
	return []rule{
		{discovery, match(protocol(unix.IPPROTO_ICMPV6), source(linkLocal), accept())},
		{discovery, match(protocol(unix.IPPROTO_ICMPV6), sourceIs(netip.IPv6Unspecified()), accept())},
		{"not the pod's address: no route to it by this link", match(noRouteBack(), drop())},
	}
}

// nodeRules need connection tracking: a node that has no other address of a
// family speaks to its pods from the gateway's, and hears their answers there. A
// redirect is about a connection, so it comes before.
func nodeRules() []rule {
	return []rule{
		{"a pod is no router (CVE-2020-13597)", match(icmpType(unix.IPPROTO_ICMPV6, routerAdvertisement), drop())},
		{"a pod redirects nobody", match(icmpType(unix.IPPROTO_ICMPV6, redirect6), drop())},
		{"a pod redirects nobody", match(icmpType(unix.IPPROTO_ICMP, icmpRedirect), drop())},
		{"answers to the node", match(answer(), accept())},
		{"", match(protocol(unix.IPPROTO_ICMP), accept())},
		{"", match(protocol(unix.IPPROTO_ICMPV6), accept())},
		{"", match(protocol(unix.IPPROTO_IGMP), accept())},
		{"NodeLocal DNS", match(destinationIs(nodeLocalDNS), port(unix.IPPROTO_UDP, portDNS), accept())},
		{"NodeLocal DNS", match(destinationIs(nodeLocalDNS), port(unix.IPPROTO_TCP, portDNS), accept())},
		{"the node's link-local services are not for pods, nor is DHCP", match(destinationIn(setNear4, unix.NFPROTO_IPV4), drop())},
		{"the node's link-local services are not for pods", match(destinationIn(setNear6, unix.NFPROTO_IPV6), drop())},
	}
}

func translationRules() []rule {
	var out []rule
	for _, f := range []struct {
		proto                     byte
		translated, pods, uplinks string
	}{
		{unix.NFPROTO_IPV4, setTranslated4, setPods4, mapUplinks4},
		{unix.NFPROTO_IPV6, setTranslated6, setPods6, mapUplinks6},
	} {
		leaves := match(sourceIn(f.translated, f.proto), destinationNotIn(f.pods, f.proto))
		out = append(
			out,
			rule{"by whatever uplink: the connection outlives one of them", match(leaves, translate(f.uplinks, f.proto))},
			rule{"", match(leaves, masquerade())},
		)
	}
	return out
}
