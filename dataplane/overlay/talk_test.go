package overlay

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"fairlead.dev/dataplane"
)

// newPair makes two nodes with a link between them.
func newPair(t *testing.T) (a, b *node) {
	t.Helper()
	a, b = newNode(t, "a"), newNode(t, "b")
	a.Run(t, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", b.Name)
	for n, host := range map[*node]string{a: "11", b: "12"} {
		n.ip(t, "link set eth0 up")
		n.ip(t, "addr add 10.1.0."+host+"/24 dev eth0")
		n.ip(t, "addr add fd00:1::"+host+"/64 dev eth0 nodad")
	}
	return a, b
}

// end is what one of the pair wants of its device to reach the other.
func end(local, remote string, mac, other dataplane.MAC, addresses ...string) *dataplane.Overlay {
	o := wanted()
	o.Local, o.MAC, o.Addresses, o.VTEPs = addr(local), mac, nil, []dataplane.VTEP{vtep(other, remote)}
	for _, a := range addresses {
		o.Addresses = append(o.Addresses, netip.MustParseAddr(a))
	}
	return o
}

// Packets of both families, also as large as the device lets them be, go over an
// underlay of either.
func TestTalk(t *testing.T) {
	for name, underlay := range map[string][2]string{"over IPv4": {"10.1.0.11", "10.1.0.12"}, "over IPv6": {"fd00:1::11", "fd00:1::12"}} {
		t.Run(name, func(t *testing.T) {
			a, b := newPair(t)
			to := end(underlay[0], underlay[1], macA, macB, "10.244.0.0", "fd00:10::")
			back := end(underlay[1], underlay[0], macB, macA, "10.244.0.64", "fd00:10::40")
			to.MTU, back.MTU = dataplane.OverlayMTU(1500, to.Local), dataplane.OverlayMTU(1500, back.Local)
			a.apply(t, to, true)
			b.apply(t, back, true)
			hopA, hopB := " via inet6 "+macA.LinkLocal().String(), " via inet6 "+macB.LinkLocal().String()
			if to.Local.Is4() {
				hopA, hopB = " via 10.1.0.11", " via 10.1.0.12"
			}
			a.ip(t, "route add 10.244.0.64/26"+hopB+" dev fairlead-vxlan onlink src 10.244.0.0")
			b.ip(t, "route add 10.244.0.0/26"+hopA+" dev fairlead-vxlan onlink src 10.244.0.64")
			a.ip(t, "route add fd00:10::40/122 via "+macB.LinkLocal().String()+" dev fairlead-vxlan src fd00:10::")
			b.ip(t, "route add fd00:10::/122 via "+macA.LinkLocal().String()+" dev fairlead-vxlan src fd00:10::40")
			for target, header := range map[string]uint32{"10.244.0.64": 20 + 8, "fd00:10::40": 40 + 8} {
				a.Run(t, "ping", "-c1", "-W5", target)
				a.Run(t, "ping", "-c1", "-W5", "-M", "do", "-s", fmt.Sprint(to.MTU-header), target)
			}
			for _, line := range lines(a.Run(t, "nstat", "-asz", "IpFragCreates", "Ip6FragCreates"))[1:] {
				if fields := strings.Fields(line); fields[1] != "0" {
					t.Errorf("the largest packets were cut to pieces: %s", line)
				}
			}
		})
	}
}

// Two nodes that send to each other in different ways talk, also while the one
// that is sent to over the overlay has no overlay address and checks return paths.
func TestDisagreement(t *testing.T) {
	a, b := newPair(t)
	a.Run(t, "sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1")
	a.apply(t, end("10.1.0.11", "10.1.0.12", macA, macB), true)
	b.apply(t, end("10.1.0.12", "10.1.0.11", macB, macA, "10.244.0.64"), true)
	a.ip(t, "addr add 10.244.0.5/32 dev lo") // a pod's
	a.ip(t, "route add 10.244.0.64/26 via 10.1.0.12")
	b.ip(t, "route add 10.244.0.0/26 via 10.1.0.11 dev fairlead-vxlan onlink src 10.244.0.64")
	b.Run(t, "ping", "-c1", "-W5", "10.244.0.5")
}
