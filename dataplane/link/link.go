// Package link owns the veth pairs between the node and its pods: it makes
// them, wires both ends, checks them and deletes them.
//
// Invariants: a host route to a pod is only ever added where there is none to
// that address (NLM_F_EXCL), so the kernel is a second witness that one address
// has one pod; what Wire did not finish it takes back; only links with our name
// prefix are ever deleted, and a pod's routes and neighbour entries go with them.
//
// The wiring is point to point. The pod has its address alone (/32, /128) and a
// default route to a link-local gateway whose neighbour entry is permanent:
// nothing to wait for, and nothing that ARP or NDP could spoof. Both ends can
// heal all the same if a later plugin changes the pod's MAC, for which the kernel
// drops the pod's entries, permanent or not: the host's end owns the gateways'
// addresses and answers for them, its own entry for the pod starts as stale, so
// that it serves from the first packet and is asked for again, and the pod's
// kernel announces a new MAC, so that the entry does not serve on for seconds.
package link

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/nl"
)

// Gateways of every pod. They are link-local, so that the host's end of every
// link can have them.
var (
	gateway4 = netip.AddrFrom4([4]byte{169, 254, 1, 1})
	gateway6 = netip.MustParseAddr("fe80::1")
)

// Gateway is the default gateway of a pod for the family of addr.
func Gateway(addr netip.Addr) netip.Addr {
	if addr.Is4() {
		return gateway4
	}
	return gateway6
}

// Errors of Wire and Check.
var (
	// ErrPodLinkExists says that the pod has a link of the wanted name already.
	ErrPodLinkExists = errors.New("the pod has an interface of that name already")
	// ErrHostLinkExists says that an earlier ADD of the same attachment left its veth.
	ErrHostLinkExists = errors.New("the host end of the pod's link is there already")
	// ErrRouted says that the kernel routes the address already: another pod has it.
	ErrRouted = errors.New("address is routed already")
	// ErrPodRouted says that the pod has a default route by another interface.
	ErrPodRouted = errors.New("the pod has a default route already")
	// ErrNotUndone says that a link may be left, and with it routes.
	ErrNotUndone = errors.New("what was done is not undone")
)

// nameEncoding keeps names lower case: 13 letters are 65 bits.
var nameEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Name of the host end of an attachment's link: the prefix and 13 letters of a
// hash, as long as the kernel allows (IFNAMSIZ less the final zero).
func Name(containerID, ifName string) string {
	sum := sha256.Sum256([]byte(containerID + "\x00" + ifName))
	return dataplane.LinkPrefix + nameEncoding.EncodeToString(sum[:])[:unix.IFNAMSIZ-1-len(dataplane.LinkPrefix)]
}

// Spec is one pod's link.
type Spec struct {
	// Host is the name of the host end, from Name.
	Host string
	// Pod is the name of the pod's end.
	Pod string
	MTU uint32
	// MAC of the pod's end; zero for the one that follows from the name.
	MAC nl.MAC
	// Addresses of the pod, at most one of a family.
	Addresses []netip.Addr
}

// HostMAC is the Ethernet address that the host end is made with. It follows
// from the name, as does the pod's: both ends are known before either exists.
func (s Spec) HostMAC() nl.MAC { return mac(s.Host, "host") }

// PodMAC is the Ethernet address that the pod's end is made with.
func (s Spec) PodMAC() nl.MAC {
	if s.MAC != (nl.MAC{}) {
		return s.MAC
	}
	return mac(s.Host, "pod")
}

func mac(name, end string) nl.MAC {
	sum := sha256.Sum256([]byte(name + "\x00" + end))
	var m nl.MAC
	copy(m[:], sum[:])
	m[0] = m[0]&^0x01 | 0x02 // unicast, locally administered (IEEE 802-2014 section 8.2)
	return m
}

// Node is a socket in the node's network namespace.
type Node struct {
	conn *nl.Conn
}

// Dial opens a socket in the calling thread's network namespace.
func Dial() (*Node, error) {
	conn, err := nl.Dial()
	if err != nil {
		return nil, err
	}
	return &Node{conn: conn}, nil
}

// Close closes the socket.
func (n *Node) Close() error { return n.conn.Close() }

// Unwire deletes the link of that host end, and with it the other end and all
// routes over it. A link that is not there is success.
func (n *Node) Unwire(host string) error {
	if !dataplane.IsPodLink(host) {
		return fmt.Errorf("delete link %q: not one of ours", host)
	}
	err := n.conn.Batch([]nl.Message{nl.DeleteLink(host)})[0]
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("delete link %s: %w", host, err)
	}
	return nil
}

// Pods lists the host ends that exist, by name.
func (n *Node) Pods() ([]string, error) {
	links, err := n.conn.Links()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, l := range links {
		if dataplane.IsPodLink(l.Name) {
			names = append(names, l.Name)
		}
	}
	return names, nil
}

// PodRoutes lists the host routes to pods. The links are listed last: a route
// whose link is not among them has gone with it meanwhile.
func (n *Node) PodRoutes() ([]dataplane.PodRoute, error) {
	var routes []nl.Route
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		list, err := n.conn.Routes(family, isPodRoute)
		if err != nil {
			return nil, err
		}
		routes = append(routes, list...)
	}
	links, err := n.conn.Links()
	if err != nil {
		return nil, err
	}
	names := make(map[uint32]string, len(links))
	for _, l := range links {
		names[l.Index] = l.Name
	}
	var out []dataplane.PodRoute
	for _, r := range routes {
		if name, there := names[r.Hops[0].Link]; there {
			out = append(out, dataplane.PodRoute{Address: r.Prefix.Addr(), HostVeth: name})
		}
	}
	return out, nil
}

func isPodRoute(r nl.Route) bool {
	return r.Protocol == dataplane.ProtocolPod && r.Prefix.IsSingleIP() && len(r.Hops) == 1
}
