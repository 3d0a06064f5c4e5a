package nl

import (
	rtnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Numbers of include/uapi/linux that neither x/sys nor the library has.
const (
	devconfForwarding   = 1  // IPV4_DEVCONF_FORWARDING, ip.h
	devconfRPFilter     = 8  // IPV4_DEVCONF_RP_FILTER, ip.h
	devconfARPNotify    = 22 // IPV4_DEVCONF_ARP_NOTIFY, ip.h
	reversePathStrict   = 1  // RFC 3704 section 2.2
	operUp              = 6  // IF_OPER_UP, if.h
	hardwareAddressSize = 6
)

// MAC is an Ethernet address.
type MAC [hardwareAddressSize]byte

// End is one end of a veth pair.
type End struct {
	Name string
	MAC  MAC
}

// AddVeth is the request to make a pair: near in the socket's namespace and up,
// far in the one that the file descriptor is open on and down (the kernel sets it
// not up before the pair is one), so that near has no carrier yet. It is refused
// with EEXIST if either name is taken.
func AddVeth(near, far End, namespace int, mtu uint32) Message {
	peer := nest(
		rtnl.VETH_INFO_PEER, link(0), ifName(far.Name), rtnl.NewRtAttr(unix.IFLA_ADDRESS, far.MAC[:]),
		attrUint32(unix.IFLA_MTU, mtu), attrUint32(unix.IFLA_NET_NS_FD, uint32(namespace)),
	)
	info := nest(
		unix.IFLA_LINKINFO, rtnl.NewRtAttr(rtnl.IFLA_INFO_KIND, []byte("veth")),
		nest(rtnl.IFLA_INFO_DATA, peer),
	)
	return request(
		unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL,
		up(link(0)), ifName(near.Name), rtnl.NewRtAttr(unix.IFLA_ADDRESS, near.MAC[:]),
		attrUint32(unix.IFLA_MTU, mtu), info,
	)
}

// DeleteLink is the request to delete the link of that name.
func DeleteLink(name string) Message {
	return request(unix.RTM_DELLINK, 0, link(0), ifName(name))
}

// LinkUp is the request to set a link up.
func LinkUp(index uint32) Message {
	return request(unix.RTM_NEWLINK, 0, up(link(index)))
}

// LinkUpAnnouncing is LinkUp with the request that the link tell its neighbours
// by ARP when its MAC changes.
func LinkUpAnnouncing(index uint32) Message {
	announce := nest(unix.AF_INET, nest(unix.IFLA_INET_CONF, attrUint32(devconfARPNotify, 1)))
	return request(unix.RTM_NEWLINK, 0, up(link(index)), nest(unix.IFLA_AF_SPEC, announce))
}

// Guard is the request to make a link a router's port to an untrusted neighbour:
// IPv4 is forwarded from it, with strict source checks, and, if the kernel has
// IPv6, it makes no link-local address of itself. The kernel does that when the
// link has a carrier, and obeys this after it set a link up, in one message too.
func Guard(index uint32, ipv6 bool) Message {
	families := []rtnl.NetlinkRequestData{nest(unix.AF_INET, nest(
		unix.IFLA_INET_CONF, attrUint32(devconfForwarding, 1), attrUint32(devconfRPFilter, reversePathStrict),
	))}
	if ipv6 {
		mode := rtnl.NewRtAttr(unix.IFLA_INET6_ADDR_GEN_MODE, []byte{rtnl.IN6_ADDR_GEN_MODE_NONE})
		families = append(families, nest(unix.AF_INET6, mode))
	}
	return request(unix.RTM_NEWLINK, 0, link(index), nest(unix.IFLA_AF_SPEC, families...))
}

// up makes of a message one that sets its link up.
func up(msg *rtnl.IfInfomsg) *rtnl.IfInfomsg {
	msg.Flags, msg.Change = unix.IFF_UP, unix.IFF_UP
	return msg
}

// link is struct ifinfomsg.
func link(index uint32) *rtnl.IfInfomsg {
	msg := rtnl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	return msg
}

func ifName(name string) *rtnl.RtAttr {
	return rtnl.NewRtAttr(unix.IFLA_IFNAME, rtnl.ZeroTerminated(name))
}
