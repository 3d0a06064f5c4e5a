// Package topology describes a data centre as data: racks, nodes, ToRs, spines,
// their AS numbers and address ranges, and derives from it every address, link
// and router configuration of the lab. It is pure: no I/O, no clock, and the
// same topology always gives the same text.
//
// Invariant: an address depends only on its owner's own data (a node's number,
// a router's position), so that a node added to a running lab moves nothing.
package topology

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
)

// Daemon is the routing program that a router runs.
type Daemon string

// The daemons that the lab knows.
const (
	FRR  Daemon = "frr"
	BIRD Daemon = "bird"
)

// Family is an address family.
type Family int

// The families.
const (
	V4 Family = 4
	V6 Family = 6
)

func (f Family) String() string { return fmt.Sprintf("ipv%d", int(f)) }

// Pair is a prefix of each family. The zero prefix says that the family is not in use.
type Pair struct{ V4, V6 netip.Prefix }

// Of is the prefix of a family.
func (p Pair) Of(f Family) netip.Prefix {
	if f == V4 {
		return p.V4
	}
	return p.V6
}

// Router is a ToR or a spine.
type Router struct {
	Name   string
	Daemon Daemon
	// Password is the TCP MD5 key of a ToR's sessions with its nodes, "" for none.
	Password string
	// DialsNodes makes a ToR connect to its nodes, which then wait for it.
	// Otherwise it waits for any node of the rack's subnet.
	DialsNodes bool
}

// Node is a machine that runs pods.
type Node struct {
	Name string
	// Number is unique in the topology, from 1 to 200: the node's addresses end in it.
	Number int
	// Labels besides the rack's and the host name's.
	Labels map[string]string
}

// Rack is one L2 segment with its nodes and ToRs.
type Rack struct {
	Name    string
	Subnet  Pair
	ToRASN  uint32
	NodeASN uint32
	ToRs    []Router
	Nodes   []Node
}

// Pool is an IPPool that the lab's operator creates.
type Pool struct {
	Name      string
	CIDR      netip.Prefix
	BlockSize int32
}

// Topology is the whole data centre.
type Topology struct {
	Racks    []Rack
	Spines   []Router
	SpineASN uint32
	// Fabric is what the numbered links between ToRs and spines are cut from (/31, /127).
	Fabric Pair
	// Management is the segment of the control plane and of every node, of either family.
	Management netip.Prefix
	// Outside is a segment behind the spines with one host, which has routes to the
	// racks and none to pods, and with the control plane, whose default route leads
	// there; the zero value is none.
	Outside Pair
	// RouterIDs is the IPv4 range of the routers' BGP identifiers.
	RouterIDs netip.Prefix
	Pools     []Pool
	// Spare ranges are those of IPPools that come later: ToRs accept them from nodes.
	Spare []netip.Prefix
}

// Default is two racks of two nodes and two ToRs each (one FRR, one BIRD) under
// two spines (one FRR, one BIRD), dual stack, an AS for the nodes and one for
// the ToRs of each rack.
func Default() Topology {
	return Topology{
		Racks:      []Rack{defaultRack(1, 1, 2), defaultRack(2, 3, 4)},
		Spines:     []Router{{Name: "s1", Daemon: FRR}, {Name: "s2", Daemon: BIRD}},
		SpineASN:   65000,
		Fabric:     Pair{netip.MustParsePrefix("172.30.0.0/16"), netip.MustParsePrefix("fd00:172:30::/64")},
		Management: netip.MustParsePrefix("192.168.200.0/24"),
		RouterIDs:  netip.MustParsePrefix("172.29.0.0/24"),
		Pools: []Pool{
			{Name: "pods-v4", CIDR: netip.MustParsePrefix("10.244.0.0/16"), BlockSize: 26},
			{Name: "pods-v6", CIDR: netip.MustParsePrefix("fd00:10:244::/64"), BlockSize: 122},
		},
	}
}

func defaultRack(i int, nodes ...int) Rack {
	name := fmt.Sprintf("r%d", i)
	r := Rack{
		Name: name,
		Subnet: Pair{
			netip.MustParsePrefix(fmt.Sprintf("172.16.%d.0/24", i)),
			netip.MustParsePrefix(fmt.Sprintf("fd00:172:16:%d::/64", i)),
		},
		ToRASN:  uint32(65000 + i),
		NodeASN: uint32(65100 + i),
		ToRs:    []Router{{Name: name + "-tor1", Daemon: FRR}, {Name: name + "-tor2", Daemon: BIRD}},
	}
	for _, n := range nodes {
		r.Nodes = append(r.Nodes, Node{Name: fmt.Sprintf("n%d", n), Number: n})
	}
	return r
}

// Only is the topology with one address family.
func (t Topology) Only(f Family) Topology {
	keep := func(p Pair) Pair {
		if f == V4 {
			return Pair{V4: p.V4}
		}
		return Pair{V6: p.V6}
	}
	t.Fabric = keep(t.Fabric)
	t.Outside = keep(t.Outside)
	t.Racks = slices.Clone(t.Racks)
	for i := range t.Racks {
		t.Racks[i].Subnet = keep(t.Racks[i].Subnet)
	}
	t.Pools = slices.DeleteFunc(slices.Clone(t.Pools), func(p Pool) bool { return FamilyOf(p.CIDR.Addr()) != f })
	t.Spare = slices.DeleteFunc(slices.Clone(t.Spare), func(p netip.Prefix) bool { return FamilyOf(p.Addr()) != f })
	return t
}

// FamilyOf is an address's family.
func FamilyOf(a netip.Addr) Family {
	if a.Is4() {
		return V4
	}
	return V6
}

// Families in use: those that every rack's subnet has.
func (t Topology) Families() []Family {
	var fs []Family
	for _, f := range []Family{V4, V6} {
		if !slices.ContainsFunc(t.Racks, func(r Rack) bool { return !r.Subnet.Of(f).IsValid() }) {
			fs = append(fs, f)
		}
	}
	return fs
}

// Nodes of all racks, in order.
func (t Topology) Nodes() []Node {
	var ns []Node
	for _, r := range t.Racks {
		ns = append(ns, r.Nodes...)
	}
	return ns
}

// Routers are the ToRs, rack by rack, and then the spines.
func (t Topology) Routers() []Router {
	var rs []Router
	for _, r := range t.Racks {
		rs = append(rs, r.ToRs...)
	}
	return append(rs, t.Spines...)
}

// Node finds a node and its rack by name.
func (t Topology) Node(name string) (Rack, Node, error) {
	for _, r := range t.Racks {
		for _, n := range r.Nodes {
			if n.Name == name {
				return r, n, nil
			}
		}
	}
	return Rack{}, Node{}, fmt.Errorf("node %q: not in the topology", name)
}

// WithNode is the topology with one more node in a rack, numbered one above
// the highest of all.
func (t Topology) WithNode(rack, name string) (Topology, error) {
	number := 1
	for _, n := range t.Nodes() {
		number = max(number, n.Number+1)
	}
	t.Racks = slices.Clone(t.Racks)
	for i, r := range t.Racks {
		if r.Name == rack {
			t.Racks[i].Nodes = append(slices.Clone(r.Nodes), Node{Name: name, Number: number})
			return t, t.Validate()
		}
	}
	return t, fmt.Errorf("rack %q: not in the topology", rack)
}

// WithoutNode is the topology less one node.
func (t Topology) WithoutNode(name string) Topology {
	t.Racks = slices.Clone(t.Racks)
	for i, r := range t.Racks {
		t.Racks[i].Nodes = slices.DeleteFunc(slices.Clone(r.Nodes), func(n Node) bool { return n.Name == name })
	}
	return t
}

// nameForm keeps names short enough to be link names with a prefix (IFNAMSIZ is
// 16 with its NUL) and plain enough to be namespaces, files and Node names.
var nameForm = regexp.MustCompile(`^[a-z][a-z0-9-]{0,10}$`)

// maxNumber is the highest node number: addresses end in nodeHost + number.
const maxNumber = 200

// Validate finds what would make two things in the lab be one.
func (t Topology) Validate() error {
	seen := map[string]bool{
		RoleSwitch: true, RoleControlPlane: true, RoleOutside: true,
		nodeMgmtLink: true, nodeUplink: true, torDownlink: true, spineDownlink: true,
	}
	claim := func(name string) error {
		switch {
		case !nameForm.MatchString(name):
			return fmt.Errorf("name %q: want at most 11 of a-z, 0-9 and '-', a letter first", name)
		case seen[name]:
			return fmt.Errorf("name %q: taken twice", name)
		}
		seen[name] = true
		return nil
	}
	numbers := map[int]bool{}
	for _, r := range t.Racks {
		if err := claim(r.Name); err != nil {
			return err
		}
		for _, n := range r.Nodes {
			if err := claim(n.Name); err != nil {
				return err
			}
			if n.Number < 1 || n.Number > maxNumber || numbers[n.Number] {
				return fmt.Errorf("node %q: number %d is taken or not in 1..%d", n.Name, n.Number, maxNumber)
			}
			numbers[n.Number] = true
		}
	}
	for _, r := range t.Routers() {
		if err := claim(r.Name); err != nil {
			return err
		}
		if r.Daemon != FRR && r.Daemon != BIRD {
			return fmt.Errorf("router %q: unknown daemon %q", r.Name, r.Daemon)
		}
	}
	if len(t.Families()) == 0 {
		return fmt.Errorf("no address family is in use on every rack")
	}
	return nil
}
