package overlay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/nstest"
)

// node is a namespace with an overlay device in it, ours to open.
type node struct {
	nstest.NS
	device *Device
	result dataplane.OverlayResult // of the last Apply
}

func newNode(t *testing.T, role string) *node {
	t.Helper()
	n := &node{NS: nstest.New(t, role)}
	n.Do(t, func() {
		d, err := Open("/proc/sys")
		if err != nil {
			t.Error(err)
			return
		}
		n.device = d
	})
	t.Cleanup(func() { _ = n.device.Close() })
	return n
}

func (n *node) apply(t *testing.T, want *dataplane.Overlay, prune bool) {
	t.Helper()
	if err := n.tryApply(t, want, prune); err != nil {
		t.Fatal(err)
	}
}

func (n *node) tryApply(t *testing.T, want *dataplane.Overlay, prune bool) (err error) {
	t.Helper()
	n.Do(t, func() { n.result, err = n.device.Apply(want, prune) })
	return err
}

func (n *node) ip(t *testing.T, args string) string {
	t.Helper()
	return n.Run(t, "ip", strings.Fields(args)...)
}

func (n *node) bridge(t *testing.T, args string) string {
	t.Helper()
	return n.Run(t, "bridge", strings.Fields(args)...)
}

// lines of a command's output, sorted, blanks at the ends cut.
func lines(out string) []string {
	var all []string
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	slices.Sort(all)
	return all
}

func (n *node) expectFDB(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, lines(n.bridge(t, "fdb show dev fairlead-vxlan"))); diff != "" {
		t.Errorf("forwarding entries (-want +got):\n%s", diff)
	}
}

func (n *node) expectNeighbours(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, lines(n.ip(t, "neigh show dev fairlead-vxlan nud permanent"))); diff != "" {
		t.Errorf("neighbours (-want +got):\n%s", diff)
	}
}

func (n *node) expectAddresses(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for _, line := range lines(n.ip(t, "-o addr show dev fairlead-vxlan")) {
		got = append(got, strings.Fields(line)[3])
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
}

var (
	macA = dataplane.MAC{0x02, 0, 0, 0, 0, 0x0a}
	macB = dataplane.MAC{0x02, 0, 0, 0, 0, 0x0b}
	macC = dataplane.MAC{0x02, 0, 0, 0, 0, 0x0c}
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func vtep(mac dataplane.MAC, underlay string) dataplane.VTEP {
	v := dataplane.VTEP{MAC: mac, Underlay: addr(underlay), Neighbours: []netip.Addr{mac.LinkLocal()}}
	if v.Underlay.Is4() {
		v.Neighbours = append([]netip.Addr{v.Underlay}, v.Neighbours...)
	}
	return v
}

// wanted is node A's overlay, with B in it.
func wanted() *dataplane.Overlay {
	return &dataplane.Overlay{
		VXLAN: dataplane.VXLAN{VNI: 4096, Port: 4789}, Local: addr("10.1.0.11"), MAC: macA, MTU: 1450,
		Addresses: []netip.Addr{addr("10.244.0.0"), addr("fd00:10::")},
		VTEPs:     []dataplane.VTEP{vtep(macB, "10.1.0.12")},
	}
}

func TestApply(t *testing.T) {
	n := newNode(t, "overlay")
	n.apply(t, wanted(), false)
	out := n.ip(t, "-d link show fairlead-vxlan")
	for _, part := range []string{
		"UP", "mtu 1450", "link/ether 02:00:00:00:00:0a", "vxlan id 4096 local 10.1.0.11", "dstport 4789", "nolearning",
		"tos inherit", "ttl auto", "noudpcsum noudp6zerocsumtx noudp6zerocsumrx",
	} {
		if !strings.Contains(out, part) {
			t.Errorf("no %q in:\n%s", part, out)
		}
	}
	n.expectFDB(t, "02:00:00:00:00:0b dst 10.1.0.12 self permanent")
	n.expectNeighbours(t, "10.1.0.12 lladdr 02:00:00:00:00:0b PERMANENT", "fe80::ff:fe00:b lladdr 02:00:00:00:00:0b PERMANENT")
	n.expectAddresses(t, "10.244.0.0/32", "169.254.1.1/32", "fd00:10::/128", "fe80::ff:fe00:a/128")
	for setting, value := range map[string]string{
		"net.ipv4.conf.fairlead-vxlan.rp_filter": "2", "net.ipv4.conf.fairlead-vxlan.forwarding": "1",
		"net.ipv6.conf.fairlead-vxlan.accept_ra": "0", "net.ipv6.conf.fairlead-vxlan.disable_ipv6": "0",
		"net.ipv4.conf.all.rp_filter": strings.TrimSpace(n.Run(t, "sysctl", "-n", "net.ipv4.conf.all.rp_filter")),
	} {
		if got := strings.TrimSpace(n.Run(t, "sysctl", "-n", setting)); got != value {
			t.Errorf("%s = %s, want %s", setting, got, value)
		}
	}

	// What is there and needs no change is left: the same index, no notification.
	if events := n.during(t, func() { n.apply(t, wanted(), true) }); len(events) > 0 {
		t.Errorf("a second Apply changed something: %v", events)
	}

	n.apply(t, nil, false)
	n.ip(t, "link show fairlead-vxlan")
	if want := (dataplane.OverlayResult{Surplus: true}); n.result != want {
		t.Errorf("got %v, want %v", n.result, want)
	}
	n.apply(t, nil, true)
	if out := n.ip(t, "link show"); strings.Contains(out, dataplane.OverlayLink) {
		t.Errorf("the device is there after its removal:\n%s", out)
	}
	n.apply(t, nil, true)
}

// New entries are there before the old ones go.
func TestApplyMakesBeforeItBreaks(t *testing.T) {
	n := newNode(t, "overlay")
	n.apply(t, wanted(), true)
	next := wanted()
	next.Addresses = []netip.Addr{addr("10.244.9.0")}
	next.VTEPs = []dataplane.VTEP{vtep(macC, "10.1.0.13")}
	n.apply(t, next, false)
	if want := (dataplane.OverlayResult{Up: true, Surplus: true}); n.result != want {
		t.Errorf("got %v, want %v", n.result, want)
	}
	n.expectFDB(t, "02:00:00:00:00:0b dst 10.1.0.12 self permanent", "02:00:00:00:00:0c dst 10.1.0.13 self permanent")
	n.expectAddresses(t, "10.244.0.0/32", "10.244.9.0/32", "169.254.1.1/32", "fd00:10::/128", "fe80::ff:fe00:a/128")
	n.apply(t, next, true)
	if want := (dataplane.OverlayResult{Up: true}); n.result != want {
		t.Errorf("got %v, want %v", n.result, want)
	}
	n.expectFDB(t, "02:00:00:00:00:0c dst 10.1.0.13 self permanent")
	n.expectNeighbours(t, "10.1.0.13 lladdr 02:00:00:00:00:0c PERMANENT", "fe80::ff:fe00:c lladdr 02:00:00:00:00:0c PERMANENT")
	n.expectAddresses(t, "10.244.9.0/32", "169.254.1.1/32", "fe80::ff:fe00:a/128")
}

// A VTEP that moves keeps its entry, with another address in it.
func TestVTEPMoves(t *testing.T) {
	n := newNode(t, "overlay")
	n.apply(t, wanted(), true)
	next := wanted()
	next.VTEPs = []dataplane.VTEP{vtep(macB, "10.1.0.99")}
	events := n.during(t, func() { n.apply(t, next, true) })
	n.expectFDB(t, "02:00:00:00:00:0b dst 10.1.0.99 self permanent")
	if slices.ContainsFunc(events, func(e string) bool { return strings.Contains(e, "Deleted 02:00:00:00:00:0b") }) {
		t.Errorf("there was a moment without the entry:\n%s", strings.Join(events, "\n"))
	}
}

// during returns what ip and bridge monitor tell of our device while f runs.
func (n *node) during(t *testing.T, f func()) (events []string) {
	t.Helper()
	n.Do(t, func() { events = monitor(t, f) })
	return events
}

func TestDrift(t *testing.T) {
	for name, test := range map[string]struct{ tool, change string }{
		"device gone":               {"ip", "link del fairlead-vxlan"},
		"device down":               {"ip", "link set fairlead-vxlan down"},
		"another MTU":               {"ip", "link set fairlead-vxlan mtu 1300"},
		"another MAC":               {"ip", "link set fairlead-vxlan address 02:00:00:00:00:77"},
		"another local address":     {"ip", "link set fairlead-vxlan type vxlan id 4096 local 10.1.0.77"},
		"learning":                  {"ip", "link set fairlead-vxlan type vxlan id 4096 learning"},
		"flooding":                  {"ip", "link set fairlead-vxlan type vxlan id 4096 remote 10.1.0.77"},
		"a fixed TTL":               {"ip", "link set fairlead-vxlan type vxlan id 4096 ttl 3"},
		"address gone":              {"ip", "addr del 10.244.0.0/32 dev fairlead-vxlan"},
		"IPv6 address gone":         {"ip", "addr del fd00:10::/128 dev fairlead-vxlan"},
		"link-local gone":           {"ip", "addr del fe80::ff:fe00:a/128 dev fairlead-vxlan"},
		"a foreign address":         {"ip", "addr add 10.9.9.9/24 dev fairlead-vxlan"},
		"entry gone":                {"bridge", "fdb del 02:00:00:00:00:0b dev fairlead-vxlan"},
		"entry elsewhere":           {"bridge", "fdb replace 02:00:00:00:00:0b dev fairlead-vxlan dst 10.1.0.77"},
		"entry with another port":   {"bridge", "fdb replace 02:00:00:00:00:0b dev fairlead-vxlan dst 10.1.0.12 port 99"},
		"a foreign entry":           {"bridge", "fdb add 02:00:00:00:00:77 dev fairlead-vxlan dst 10.1.0.77"},
		"an entry that floods":      {"bridge", "fdb append 00:00:00:00:00:00 dev fairlead-vxlan dst 10.1.0.77"},
		"neighbour gone":            {"ip", "neigh del 10.1.0.12 dev fairlead-vxlan"},
		"IPv6 neighbour gone":       {"ip", "neigh del fe80::ff:fe00:b dev fairlead-vxlan"},
		"neighbour with other MAC":  {"ip", "neigh replace 10.1.0.12 lladdr 02:00:00:00:00:77 dev fairlead-vxlan"},
		"neighbour that may expire": {"ip", "neigh replace 10.1.0.12 lladdr 02:00:00:00:00:0b dev fairlead-vxlan nud stale"},
		"a foreign neighbour":       {"ip", "neigh add 10.1.0.77 lladdr 02:00:00:00:00:77 dev fairlead-vxlan"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, "overlay")
			n.apply(t, wanted(), true)
			before := n.whole(t)
			changes := n.watch(t)
			n.apply(t, wanted(), true) // is no news
			select {
			case <-changes:
				t.Error("told of a change of our own")
			default:
			}
			n.Run(t, test.tool, strings.Fields(test.change)...)
			if n.whole(t) == before {
				t.Fatal("the change does not show")
			}
			<-changes
			n.apply(t, wanted(), true)
			if diff := cmp.Diff(before, n.whole(t)); diff != "" {
				t.Errorf("not repaired (-want +got):\n%s", diff)
			}
		})
	}
}

func TestChangesThatAreNotOurs(t *testing.T) {
	n := newNode(t, "overlay")
	n.ip(t, "link add eth0 type veth peer name far0")
	n.ip(t, "link set eth0 up")
	n.ip(t, "link add flannel.1 type vxlan id 1 dstport 8472 local 10.1.0.11 nolearning")
	n.ip(t, "link set flannel.1 up")
	n.apply(t, wanted(), true)
	changes := n.watch(t)
	n.ip(t, "neigh add 10.1.0.77 lladdr 02:00:00:00:00:77 dev eth0")
	n.bridge(t, "fdb add 02:00:00:00:00:77 dev flannel.1 dst 10.1.0.77")
	n.ip(t, "neigh add 10.1.0.77 lladdr 02:00:00:00:00:77 dev flannel.1")
	n.ip(t, "addr add 10.1.0.11/24 dev eth0")
	theirs := func() string {
		return n.bridge(t, "fdb show dev flannel.1") + n.ip(t, "neigh show nud permanent dev flannel.1") + n.ip(t, "neigh show nud permanent dev eth0")
	}
	before := theirs()
	n.apply(t, wanted(), true)
	if diff := cmp.Diff(before, theirs()); diff != "" {
		t.Errorf("changed what is not ours (-want +got):\n%s", diff)
	}
	n.ip(t, "neigh del 10.1.0.12 dev fairlead-vxlan") // the first that is told of
	<-changes
	select {
	case <-changes:
		t.Error("told of more than one change")
	default:
	}
}

func TestNewDevice(t *testing.T) {
	for name, change := range map[string]func(*dataplane.Overlay){
		"another VNI":  func(o *dataplane.Overlay) { o.VNI = 77 },
		"another port": func(o *dataplane.Overlay) { o.Port = 8472 },
		"another family": func(o *dataplane.Overlay) {
			o.Local, o.MTU, o.VTEPs = addr("fd00:1::11"), 1430, []dataplane.VTEP{vtep(macB, "fd00:1::12")}
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, "overlay")
			n.apply(t, wanted(), true)
			next := wanted()
			change(next)
			n.apply(t, next, true)
			after := n.whole(t)
			fresh := newNode(t, "overlay")
			fresh.apply(t, next, true)
			if diff := cmp.Diff(fresh.whole(t), after); diff != "" {
				t.Errorf("not as one that is new (-want +got):\n%s", diff)
			}
		})
	}
}

// IPv6 that is switched off for new links stays so until something needs it.
func TestIPv6SwitchedOff(t *testing.T) {
	n := newNode(t, "overlay")
	n.Run(t, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
	want := wanted()
	want.Addresses = want.Addresses[:1]
	want.VTEPs[0].Neighbours = want.VTEPs[0].Neighbours[:1]
	n.apply(t, want, true)
	n.expectAddresses(t, "10.244.0.0/32", "169.254.1.1/32")
	n.apply(t, wanted(), true)
	n.expectAddresses(t, "10.244.0.0/32", "169.254.1.1/32", "fd00:10::/128", "fe80::ff:fe00:a/128")
	n.expectNeighbours(t, "10.1.0.12 lladdr 02:00:00:00:00:0b PERMANENT", "fe80::ff:fe00:b lladdr 02:00:00:00:00:0b PERMANENT")
}

func TestForeignDevice(t *testing.T) {
	n := newNode(t, "overlay")
	n.ip(t, "link add fairlead-vxlan type bridge")
	err := n.tryApply(t, wanted(), true)
	if !errors.Is(err, ErrForeign) || !strings.Contains(fmt.Sprint(err), `kind "bridge"`) || !strings.Contains(fmt.Sprint(err), "ip link delete fairlead-vxlan") {
		t.Errorf("got %v", err)
	}
	n.apply(t, nil, true)
	n.ip(t, "link show fairlead-vxlan type bridge")
}

func TestTakenVNI(t *testing.T) {
	n := newNode(t, "overlay")
	n.ip(t, "link add vxlan.calico type vxlan id 4096 dstport 4789 local 10.1.0.11")
	if err := n.tryApply(t, wanted(), true); err == nil || !strings.Contains(err.Error(), "another device has this VNI on this port") {
		t.Errorf("got %v", err)
	}
	n.ip(t, "link show vxlan.calico")
}

func TestFind(t *testing.T) {
	n := newNode(t, "overlay")
	find := func() (addresses []netip.Addr, there bool) {
		n.Do(t, func() {
			var err error
			if addresses, there, err = n.device.Find(); err != nil {
				t.Error(err)
			}
		})
		return addresses, there
	}
	if _, there := find(); there {
		t.Error("found a device where none is")
	}
	n.apply(t, wanted(), true)
	addresses, there := find()
	if !there || !slices.Equal(addresses, wanted().Addresses) {
		t.Errorf("found %v, %v", addresses, there)
	}
}

// thousand is an overlay of so many other nodes.
func thousand() *dataplane.Overlay {
	want := wanted()
	want.VTEPs = nil
	for i := range uint32(1000) {
		raw := binary.BigEndian.AppendUint32(nil, 0x0a020000+i)
		underlay, _ := netip.AddrFromSlice(raw)
		mac := dataplane.MAC{0x02, 0, raw[0], raw[1], raw[2], raw[3]}
		want.VTEPs = append(want.VTEPs, vtep(mac, underlay.String()))
	}
	return want
}

func TestThousandVTEPs(t *testing.T) {
	n := newNode(t, "overlay")
	want := thousand()
	start := time.Now()
	n.apply(t, want, true)
	t.Logf("a thousand VTEPs took %s", time.Since(start))
	count := func(entries, neighbours int) {
		t.Helper()
		if got := len(lines(n.bridge(t, "fdb show dev fairlead-vxlan"))); got != entries {
			t.Errorf("%d forwarding entries, want %d", got, entries)
		}
		if got := len(lines(n.ip(t, "neigh show dev fairlead-vxlan nud permanent"))); got != neighbours {
			t.Errorf("%d neighbours, want %d", got, neighbours)
		}
	}
	count(1000, 2000)
	want.VTEPs = want.VTEPs[:10]
	n.apply(t, want, true)
	count(10, 20)
}

// whole is all that iproute2 tells of the device, without what counts or numbers.
func (n *node) whole(t *testing.T) string {
	t.Helper()
	links := n.ip(t, "-d -o link show")
	i := strings.Index(links, dataplane.OverlayLink)
	if i < 0 {
		return "no device"
	}
	link, _, _ := strings.Cut(links[i:], "\n")
	neighbours := lines(n.ip(t, "neigh show dev fairlead-vxlan nud permanent"))
	entries := lines(n.bridge(t, "fdb show dev fairlead-vxlan"))
	var addresses []string
	for _, line := range lines(n.ip(t, "-o addr show dev fairlead-vxlan")) {
		addresses = append(addresses, strings.Fields(line)[3])
	}
	return strings.Join(slices.Concat([]string{link}, neighbours, entries, addresses), "\n")
}

// BenchmarkApply is a sync's look at a device with a thousand VTEPs that is as it
// should be.
func BenchmarkApply(b *testing.B) {
	ns := nstest.New(b, "overlay")
	ns.Do(b, func() {
		d, err := Open("/proc/sys")
		if err != nil {
			b.Error(err)
			return
		}
		defer d.Close()
		want := thousand()
		for b.Loop() {
			if _, err := d.Apply(want, true); err != nil {
				b.Error(err)
			}
		}
	})
}
