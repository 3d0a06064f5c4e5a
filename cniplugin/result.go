package cniplugin

import (
	"net"
	"net/netip"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"

	"fairlead.dev/dataplane/link"
	"fairlead.dev/dataplane/nl"
)

// mtuSince is the version of the specification that has an interface's MTU.
const mtuSince = "1.1.0"

// result is what ADD answers: what it made, behind what plugins before it made.
func result(prev *types100.Result, asked request, s link.Spec) *types100.Result {
	r := prev
	if r == nil {
		r = &types100.Result{}
	}
	r.CNIVersion = types100.ImplementedSpecVersion
	hostEnd := &types100.Interface{Name: s.Host, Mac: macString(s.HostMAC())}
	podEnd := &types100.Interface{Name: s.Pod, Mac: macString(s.PodMAC()), Sandbox: asked.netns}
	if asked.version == mtuSince {
		hostEnd.Mtu, podEnd.Mtu = int(s.MTU), int(s.MTU)
	}
	r.Interfaces = append(r.Interfaces, hostEnd, podEnd)
	podIndex := len(r.Interfaces) - 1
	for _, addr := range s.Addresses {
		gateway := link.Gateway(addr).AsSlice()
		r.IPs = append(r.IPs, &types100.IPConfig{
			Interface: types100.Int(podIndex), Address: ipNet(netip.PrefixFrom(addr, addr.BitLen())), Gateway: gateway,
		})
		r.Routes = append(r.Routes, &types.Route{Dst: ipNet(netip.PrefixFrom(addr, 0).Masked()), GW: gateway})
	}
	return r
}

func ipNet(p netip.Prefix) net.IPNet {
	return net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func macString(m nl.MAC) string { return net.HardwareAddr(m[:]).String() }
