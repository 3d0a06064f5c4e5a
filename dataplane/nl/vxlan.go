package nl

import (
	"encoding/binary"
	"net/netip"

	rtnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// VXLAN is a VXLAN device that sends where its forwarding entries say, and
// learns nothing.
type VXLAN struct {
	Name string
	MAC  MAC
	MTU  uint32
	VNI  uint32
	Port uint16
	// Local is the source of outer packets. Its family is the device's.
	Local netip.Addr
}

// TOSInherit is the value of IFLA_VXLAN_TOS with which outer packets have the
// class of service of the inner ones.
const TOSInherit = 1

// AddVXLAN is the request to make a device, down. It is refused with EEXIST if
// the name is taken, or the VNI on that port by another device.
func AddVXLAN(v VXLAN) Message {
	port := binary.BigEndian.AppendUint16(nil, v.Port)
	// Zero checksums of UDP are the rule over IPv4 (RFC 7348 section 5) and need
	// both ends' consent over IPv6 (RFC 6936), which is not given.
	data := append(
		v.changeable(),
		rtnl.NewRtAttr(rtnl.IFLA_VXLAN_PORT, port),
		rtnl.NewRtAttr(rtnl.IFLA_VXLAN_UDP_CSUM, []byte{0}),
		rtnl.NewRtAttr(rtnl.IFLA_VXLAN_UDP_ZERO_CSUM6_TX, []byte{0}),
		rtnl.NewRtAttr(rtnl.IFLA_VXLAN_UDP_ZERO_CSUM6_RX, []byte{0}),
	)
	return request(
		unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL,
		link(0), ifName(v.Name), rtnl.NewRtAttr(unix.IFLA_ADDRESS, v.MAC[:]), attrUint32(unix.IFLA_MTU, v.MTU),
		linkInfo(data),
	)
}

// ChangeVXLAN are the requests to make the device of that index as v says, but
// for its name, VNI, port and family: these the kernel cannot change. They are two
// because a VXLAN device refuses an MTU beside its own attributes.
func ChangeVXLAN(index uint32, v VXLAN) []Message {
	return []Message{
		request(unix.RTM_NEWLINK, 0, link(index), linkInfo(v.changeable())),
		request(
			unix.RTM_NEWLINK, 0,
			link(index), rtnl.NewRtAttr(unix.IFLA_ADDRESS, v.MAC[:]), attrUint32(unix.IFLA_MTU, v.MTU),
		),
	}
}

func (v VXLAN) changeable() []rtnl.NetlinkRequestData {
	local := uint16(rtnl.IFLA_VXLAN_LOCAL)
	if v.Local.Is6() {
		local = rtnl.IFLA_VXLAN_LOCAL6
	}
	return []rtnl.NetlinkRequestData{
		attrUint32(rtnl.IFLA_VXLAN_ID, v.VNI),
		rtnl.NewRtAttr(int(local), v.Local.AsSlice()),
		rtnl.NewRtAttr(rtnl.IFLA_VXLAN_TTL, []byte{0}), // the system's default
		rtnl.NewRtAttr(rtnl.IFLA_VXLAN_TOS, []byte{TOSInherit}),
		rtnl.NewRtAttr(rtnl.IFLA_VXLAN_LEARNING, []byte{0}),
	}
}

func linkInfo(data []rtnl.NetlinkRequestData) *rtnl.RtAttr {
	return nest(
		unix.IFLA_LINKINFO, rtnl.NewRtAttr(rtnl.IFLA_INFO_KIND, []byte("vxlan")),
		nest(rtnl.IFLA_INFO_DATA, data...),
	)
}
