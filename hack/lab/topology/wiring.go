package topology

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// Roles that are not a node or a router.
const (
	// RoleSwitch holds one bridge a segment.
	RoleSwitch = "sw"
	// RoleControlPlane runs etcd, the API server and the controller.
	RoleControlPlane = "cp"
	// RoleOutside is a host that is no part of the cluster.
	RoleOutside = "out"
)

// Link names inside namespaces. On a router, a link to a router has its name.
const (
	nodeUplink   = "eth0"
	nodeMgmtLink = "mgmt"
	torDownlink  = "rack"
	// spineDownlink is also the name of its segment.
	spineDownlink = "outside"
	// mgmtPort starts the switch's port names on the management bridge.
	mgmtPort = "m-"
	// outsidePort starts those on the outside's.
	outsidePort = "o-"
)

// SwitchPorts are the switch's ports to a node or ToR: the one in its rack's
// segment, then the one in the management segment, which only nodes have.
func SwitchPorts(role string) [2]string { return [2]string{role, mgmtPort + role} }

// Wiring is what iproute2 is told in order to lay a part of the data centre, in
// this order: make Namespaces, set Sysctls, run Links outside, run Inside.
type Wiring struct {
	// Namespaces are roles.
	Namespaces []string
	// Sysctls by role, as key=value.
	Sysctls map[string][]string
	// Links are the lines of an `ip -batch` outside of the namespaces. They make
	// both ends of each veth where they belong: none ever shows up on the host.
	Links []string
	// Inside are the lines of an `ip -batch` inside each role's namespace.
	Inside map[string][]string
}

type wirer struct {
	Wiring
	ns func(role string) string
}

func newWirer(ns func(role string) string) *wirer {
	return &wirer{ns: ns, Wiring: Wiring{Sysctls: map[string][]string{}, Inside: map[string][]string{}}}
}

// Wiring lays the whole data centre. ns names the namespace of a role.
func (t Topology) Wiring(ns func(role string) string) Wiring {
	w := newWirer(ns)
	w.role(RoleSwitch, switchSysctls())
	w.bridge(nodeMgmtLink)
	for _, r := range t.Racks {
		w.bridge(r.Name)
	}
	w.role(RoleControlPlane, quickAddresses())
	w.port(nodeMgmtLink, mgmtPort+RoleControlPlane, RoleControlPlane, nodeMgmtLink, t.managementPrefix(t.ControlPlane()))
	for _, r := range t.Routers() {
		w.role(r.Name, slices.Concat(quickAddresses(), routerSysctls()))
	}
	for _, r := range t.Racks {
		for i, tor := range r.ToRs {
			w.port(r.Name, tor.Name, tor.Name, torDownlink, r.segment(func(f Family) netip.Addr { return r.ToRAddress(f, i) })...)
		}
		for _, n := range r.Nodes {
			w.node(t, r, n)
		}
	}
	w.outside(t)
	for _, l := range t.Links() {
		w.veth(l.Spine.Name, l.ToR.Name, l.ToR.Name, l.Spine.Name)
		w.addresses(l.Spine.Name, l.ToR.Name, l.SpineEnd.V4, l.SpineEnd.V6)
		w.addresses(l.ToR.Name, l.Spine.Name, l.ToREnd.V4, l.ToREnd.V6)
	}
	return w.Wiring
}

// NodeWiring lays one node into a data centre that is there.
func (t Topology) NodeWiring(name string, ns func(role string) string) (Wiring, error) {
	r, n, err := t.Node(name)
	if err != nil {
		return Wiring{}, err
	}
	w := newWirer(ns)
	w.node(t, r, n)
	return w.Wiring, nil
}

// quickAddresses let link-local addresses work at once: the lab has no duplicates to detect.
func quickAddresses() []string {
	return []string{
		"net.ipv6.conf.all.disable_ipv6=0",
		"net.ipv6.conf.default.disable_ipv6=0",
		"net.ipv6.conf.default.accept_dad=0",
		"net.ipv6.conf.default.dad_transmits=0",
	}
}

// switchSysctls keep the bridges out of their segments' IPv6.
func switchSysctls() []string {
	return []string{"net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"}
}

// routerSysctls are a router's: forwarding, flow-based ECMP by ports, return
// paths free to differ, and no limit on the ICMP errors that show a packet's path.
func routerSysctls() []string {
	return []string{
		"net.ipv4.ip_forward=1",
		"net.ipv6.conf.all.forwarding=1",
		"net.ipv6.conf.default.forwarding=1",
		"net.ipv4.fib_multipath_hash_policy=1",
		"net.ipv6.fib_multipath_hash_policy=1",
		"net.ipv4.conf.all.rp_filter=0",
		"net.ipv4.conf.default.rp_filter=0",
		"net.ipv4.conf.all.send_redirects=0",
		"net.ipv4.conf.default.send_redirects=0",
		"net.ipv4.icmp_ratelimit=0",
		"net.ipv6.icmp.ratelimit=0",
	}
}

func (w *wirer) role(role string, sysctls []string) {
	w.Namespaces = append(w.Namespaces, role)
	w.Sysctls[role] = sysctls
	w.inside(role, "link set lo up")
}

func (w *wirer) inside(role, format string, args ...any) {
	w.Inside[role] = append(w.Inside[role], fmt.Sprintf(format, args...))
}

func (w *wirer) bridge(name string) {
	w.inside(RoleSwitch, "link add %s type bridge mcast_snooping 0", name)
	w.inside(RoleSwitch, "link set %s up", name)
}

func (w *wirer) veth(roleA, linkA, roleB, linkB string) {
	w.Links = append(w.Links, fmt.Sprintf("link add %s netns %s type veth peer name %s netns %s",
		linkA, w.ns(roleA), linkB, w.ns(roleB)))
}

func (w *wirer) addresses(role, link string, prefixes ...netip.Prefix) {
	for _, p := range prefixes {
		switch {
		case !p.IsValid():
		case p.Addr().Is4():
			w.inside(role, "addr add %s dev %s", p, link)
		default:
			w.inside(role, "addr add %s dev %s nodad", p, link)
		}
	}
	w.inside(role, "link set %s up", link)
}

// port connects a role's link to a bridge by the switch's port of that name.
func (w *wirer) port(bridge, port, role, link string, prefixes ...netip.Prefix) {
	w.veth(RoleSwitch, port, role, link)
	w.inside(RoleSwitch, "link set %s master %s", port, bridge)
	w.inside(RoleSwitch, "link set %s up", port)
	w.addresses(role, link, prefixes...)
}

func (w *wirer) node(t Topology, r Rack, n Node) {
	w.role(n.Name, quickAddresses())
	ports := SwitchPorts(n.Name)
	for i, link := range []string{nodeUplink, nodeMgmtLink} {
		w.inside(n.Name, "link set %s address %s", link, n.mac(i))
	}
	w.port(nodeMgmtLink, ports[1], n.Name, nodeMgmtLink, t.managementPrefix(t.NodeManagement(n)))
	w.port(r.Name, ports[0], n.Name, nodeUplink, r.segment(func(f Family) netip.Addr { return r.NodeAddress(f, n) })...)
	if len(r.ToRs) == 0 {
		return // a segment that leads nowhere
	}
	for _, f := range t.Families() {
		w.inside(n.Name, "%s", r.defaultRoute(f))
	}
}

// outside lays the segment behind the spines, if there is one.
func (w *wirer) outside(t Topology) {
	if len(t.Outside.prefixes()) == 0 {
		return
	}
	w.bridge(spineDownlink)
	for i, s := range t.Spines {
		w.port(spineDownlink, outsidePort+s.Name, s.Name, spineDownlink, t.Outside.segment(spineHost+i)...)
	}
	w.role(RoleOutside, quickAddresses())
	w.port(spineDownlink, outsidePort+RoleOutside, RoleOutside, nodeUplink, t.Outside.segment(outsideHost)...)
	// The control plane calls nodes and pods at the addresses that all know them by.
	w.port(spineDownlink, outsidePort+RoleControlPlane, RoleControlPlane, nodeUplink, t.Outside.segment(outsideControlPlane)...)
	for _, p := range t.Outside.prefixes() {
		hops := make([]netip.Addr, len(t.Spines))
		for i := range t.Spines {
			hops[i] = host(p, spineHost+i)
		}
		w.inside(RoleControlPlane, "%s", routeOver(defaultPrefix(FamilyOf(p.Addr())), hops))
	}
	for _, r := range t.Racks {
		for _, p := range r.Subnet.prefixes() {
			hops := make([]netip.Addr, len(t.Spines))
			for i := range t.Spines {
				hops[i] = host(t.Outside.Of(FamilyOf(p.Addr())), spineHost+i)
			}
			w.inside(RoleOutside, "%s", routeOver(p.Masked(), hops))
		}
	}
}

// mac is the address of a node's i-th network card. A machine that boots again
// has the cards that it had, and its neighbours need not find them anew.
func (n Node) mac(i int) string { return fmt.Sprintf("02:00:00:00:%02x:%02x", i, n.Number) }

// defaultRoute is how an operator leads a node out of its rack: over every ToR.
func (r Rack) defaultRoute(f Family) string {
	hops := make([]netip.Addr, len(r.ToRs))
	for i := range r.ToRs {
		hops[i] = r.ToRAddress(f, i)
	}
	return routeOver(defaultPrefix(f), hops)
}

func defaultPrefix(f Family) netip.Prefix {
	all := map[Family]netip.Addr{V4: netip.IPv4Unspecified(), V6: netip.IPv6Unspecified()}[f]
	return netip.PrefixFrom(all, 0)
}

// routeOver is a route by all of some hops on the uplink.
func routeOver(p netip.Prefix, hops []netip.Addr) string {
	line := "route add " + p.String()
	for _, h := range hops {
		line += " nexthop via " + h.String() + " dev " + nodeUplink
	}
	return line
}

func (r Rack) segment(address func(Family) netip.Addr) []netip.Prefix {
	var ps []netip.Prefix
	for _, p := range r.Subnet.prefixes() {
		ps = append(ps, netip.PrefixFrom(address(FamilyOf(p.Addr())), p.Bits()))
	}
	return ps
}

func (t Topology) managementPrefix(a netip.Addr) netip.Prefix {
	return netip.PrefixFrom(a, t.Management.Bits())
}

// String is the wiring as a script, for golden files and for people.
func (w Wiring) String() string {
	var b strings.Builder
	for _, role := range w.Namespaces {
		fmt.Fprintf(&b, "netns add %s\n", role)
	}
	for _, l := range w.Links {
		fmt.Fprintln(&b, l)
	}
	for _, role := range slices.Sorted(maps.Keys(w.Inside)) {
		fmt.Fprintf(&b, "\n[%s]\n", role)
		for _, s := range w.Sysctls[role] {
			fmt.Fprintf(&b, "sysctl %s\n", s)
		}
		fmt.Fprintln(&b, strings.Join(w.Inside[role], "\n"))
	}
	return b.String()
}
