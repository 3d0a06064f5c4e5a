package overlay

import (
	"net/netip"
	"testing"

	"fairlead.dev/dataplane"
)

// newPair makes two nodes with a link between them.
func newPair(t *testing.T) (a, b *node) {
	t.Helper()
	a, b = newNode(t, "a"), newNode(t, "b")
	a.Run(t, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", b.Name)
	for n, addr := range map[*node]string{a: "10.1.0.11/24", b: "10.1.0.12/24"} {
		n.ip(t, "link set eth0 up")
		n.ip(t, "addr add "+addr+" dev eth0")
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

func TestTalk(t *testing.T) {
	a, b := newPair(t)
	a.apply(t, end("10.1.0.11", "10.1.0.12", macA, macB, "10.244.0.0", "fd00:10::"), true)
	b.apply(t, end("10.1.0.12", "10.1.0.11", macB, macA, "10.244.0.64", "fd00:10::40"), true)
	a.ip(t, "route add 10.244.0.64/26 via 10.1.0.12 dev fairlead-vxlan onlink src 10.244.0.0")
	b.ip(t, "route add 10.244.0.0/26 via 10.1.0.11 dev fairlead-vxlan onlink src 10.244.0.64")
	a.ip(t, "route add fd00:10::40/122 via "+macB.LinkLocal().String()+" dev fairlead-vxlan src fd00:10::")
	b.ip(t, "route add fd00:10::/122 via "+macA.LinkLocal().String()+" dev fairlead-vxlan src fd00:10::40")
	a.Run(t, "ping", "-c1", "-W5", "10.244.0.64")
	a.Run(t, "ping", "-c1", "-W5", "fd00:10::40")
	// The next hop by which IPv4 goes where the underlay is IPv6.
	a.ip(t, "route replace 10.244.0.64/26 via inet6 "+macB.LinkLocal().String()+" dev fairlead-vxlan src 10.244.0.0")
	a.Run(t, "ping", "-c1", "-W5", "10.244.0.64")
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
