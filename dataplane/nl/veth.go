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

// AddVeth is the request to make a pair: near in the socket's namespace, far in
// the one that the file descriptor is open on, both down (the kernel sets no end
// up before the pair is one). It is refused with EEXIST if either name is taken.
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
		link(0), ifName(near.Name), rtnl.NewRtAttr(unix.IFLA_ADDRESS, near.MAC[:]),
		attrUint32(unix.IFLA_MTU, mtu), info,
	)
}

// DeleteLink is the request to delete the link of that name.
func DeleteLink(name string) Message {
	return request(unix.RTM_DELLINK, 0, link(0), ifName(name))
}

// LinkUp is the request to set a link up.
func LinkUp(index uint32) Message {
	msg := link(index)
	msg.Flags, msg.Change = unix.IFF_UP, unix.IFF_UP
	return request(unix.RTM_NEWLINK, 0, msg)
}

// Guard is the request to make a link a router's port to an untrusted
// neighbour: IPv4 is forwarded from it, with strict source checks.
func Guard(index uint32) Message {
	return setFamily(index, unix.AF_INET, nest(
		unix.IFLA_INET_CONF, attrUint32(devconfForwarding, 1), attrUint32(devconfRPFilter, reversePathStrict),
	))
}

// Announce is the request that a link tell its neighbours by ARP when its MAC changes.
func Announce(index uint32) Message {
	return setFamily(index, unix.AF_INET, nest(unix.IFLA_INET_CONF, attrUint32(devconfARPNotify, 1)))
}

// NoLinkLocal is the request that a link make no IPv6 link-local address of
// itself when it comes up. It comes too late in the message that sets it up.
func NoLinkLocal(index uint32) Message {
	mode := rtnl.NewRtAttr(unix.IFLA_INET6_ADDR_GEN_MODE, []byte{rtnl.IN6_ADDR_GEN_MODE_NONE})
	return setFamily(index, unix.AF_INET6, mode)
}

// setFamily sets one address family's setting of a link.
func setFamily(index uint32, family int, setting *rtnl.RtAttr) Message {
	return request(unix.RTM_NEWLINK, 0, link(index), nest(unix.IFLA_AF_SPEC, nest(family, setting)))
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
