package route

import (
	"strings"
	"testing"

	"fairlead.dev/dataplane/routetest"
)

// An address that moves to another link takes the way to its subnet with it: the
// kernel leaves routes through it on the old link, where nobody answers any more.
// The old link keeps an address of its own here; with its last one the kernel
// would flush its IPv4 routes.
func TestRoutesFollowAnAddressThatMoves(t *testing.T) {
	n := newNode(t)
	n.ip("addr", "add", "10.9.0.1/24", "dev", "eth0")
	single4, single6 := routetest.Via("10.244.1.0/26", "10.2.0.11"), routetest.Via("fd00:1::/122", "2001:db8:2::11")
	ecmp4, ecmp6 := routetest.Via("10.244.2.0/26", "10.2.0.11", "10.3.0.11"), routetest.Via("fd00:2::/122", "2001:db8:2::11", "2001:db8:3::11")
	n.install(single4, ecmp4, single6, ecmp6)
	ch := n.watch()
	for _, a := range []string{"10.2.0.1/24", "2001:db8:2::1/64"} {
		n.ip("addr", "del", a, "dev", "eth0")
		n.ip("addr", "add", a, "dev", "eth1")
		n.wantNotice(ch, "the address that moved")
	}
	n.install(single4, ecmp4, single6, ecmp6)
	for _, family := range []string{"-4", "-6"} {
		if got := n.ip(family, "route", "show", "proto", "170"); strings.Contains(got, "eth0") || strings.Count(got, "eth1") != 3 {
			t.Errorf("routes on a link that leads nowhere:\n%s", got)
		}
	}
	// It is looked at again only after a change of links or addresses, and then the
	// routes are as they should be.
	before := n.ip("-d", "route", "show", "proto", "170")
	n.ip("addr", "add", "10.9.0.2/24", "dev", "eth0")
	n.wantNotice(ch, "another address")
	n.install(single4, ecmp4, single6, ecmp6)
	if after := n.ip("-d", "route", "show", "proto", "170"); after != before {
		t.Errorf("before\n%safter\n%s", before, after)
	}
}

// What moved while no agent ran is seen by the next one.
func TestRoutesFollowWhatMovedBefore(t *testing.T) {
	n := newNode(t)
	single6 := routetest.Via("fd00:1::/122", "2001:db8:2::11")
	n.install(single6)
	n.ip("addr", "del", "2001:db8:2::1/64", "dev", "eth0")
	n.ip("addr", "add", "2001:db8:2::1/64", "dev", "eth1", "nodad")
	_ = n.table.Close()
	n.Do(t, func() {
		var err error
		if n.table, err = Open(); err != nil {
			t.Fatal(err)
		}
	})
	if _, err := n.table.List(); err != nil { // as an agent does that starts
		t.Fatal(err)
	}
	n.install(single6)
	if got := n.ip("-6", "route", "show", "proto", "170"); !strings.Contains(got, "dev eth1") {
		t.Errorf("routes: %s", got)
	}
}

// A next hop whose subnet is gone from the node, and nowhere else, keeps its
// routes as the kernel has them: there is no better way.
func TestRoutesOfASubnetThatIsGone(t *testing.T) {
	n := newNode(t)
	n.ip("addr", "add", "10.9.0.1/24", "dev", "eth0")
	n.ip("route", "add", "default", "via", "10.3.0.254")
	single := routetest.Via("10.244.1.0/26", "10.2.0.11")
	n.install(single)
	ch := n.watch()
	n.ip("addr", "del", "10.2.0.1/24", "dev", "eth0")
	n.wantNotice(ch, "the address that is gone")
	n.install(single)
	if got := n.ip("route", "show", "proto", "170"); !strings.Contains(got, "dev eth0") {
		t.Errorf("routes: %s", got)
	}
}
