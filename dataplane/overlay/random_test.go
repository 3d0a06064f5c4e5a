package overlay

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/dataplane"
)

// meddle is a change by someone else, which may fail on what is not there.
func meddle(r *rand.Rand) string {
	mac, hop := fmt.Sprintf("02:00:00:00:00:%02x", r.IntN(12)), fmt.Sprintf("10.1.0.%d", r.IntN(12))
	changes := []string{
		"bridge fdb del " + mac + " dev fairlead-vxlan",
		"bridge fdb replace " + mac + " dev fairlead-vxlan dst " + hop,
		"bridge fdb append 00:00:00:00:00:00 dev fairlead-vxlan dst " + hop,
		"ip neigh del " + hop + " dev fairlead-vxlan",
		"ip neigh replace " + hop + " lladdr " + mac + " dev fairlead-vxlan",
		"ip addr add 10.244.0." + fmt.Sprint(r.IntN(4)) + "/24 dev fairlead-vxlan",
		"ip addr flush dev fairlead-vxlan",
		"ip neigh flush dev fairlead-vxlan",
		"ip link set fairlead-vxlan down",
		"ip link set fairlead-vxlan mtu " + fmt.Sprint(1300+r.IntN(100)),
		"ip link set fairlead-vxlan type vxlan id 4096 remote " + hop,
		"ip link del fairlead-vxlan",
		"sysctl -w net.ipv4.conf.fairlead-vxlan.rp_filter=1",
		"true",
	}
	return changes[r.IntN(len(changes))]
}

// randomOverlay has few of each thing, so that two of them meet often.
func randomOverlay(r *rand.Rand) *dataplane.Overlay {
	o := wanted()
	o.MTU, o.Addresses, o.VTEPs = uint32(1400+10*r.IntN(3)), nil, nil
	o.Local = netip.AddrFrom4([4]byte{10, 1, 0, byte(100 + r.IntN(2))})
	if r.IntN(8) == 0 {
		o.Port = 8472
	}
	for i := range byte(3) {
		if r.IntN(2) == 0 {
			o.Addresses = append(o.Addresses, netip.AddrFrom4([4]byte{10, 244, 0, i}))
		}
	}
	for i := range byte(12) {
		if r.IntN(2) == 0 {
			underlay := netip.AddrFrom4([4]byte{10, 1, 0, i})
			o.VTEPs = append(o.VTEPs, vtep(dataplane.MAC{2, 0, 0, 0, 0, i}, underlay.String()))
		}
	}
	return o
}

// Whatever was there and whoever changed it: what is wanted is there after an
// Apply, and nothing else, and what is not ours is untouched.
func TestRandom(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	n, fresh := newNode(t, "random"), newNode(t, "fresh")
	n.ip(t, "link add theirs type vxlan id 9 dstport 9999 local 10.1.0.200 nolearning")
	n.ip(t, "link set theirs up")
	n.bridge(t, "fdb add 02:00:00:00:00:01 dev theirs dst 10.1.0.1")
	n.ip(t, "neigh add 10.1.0.1 lladdr 02:00:00:00:00:01 dev theirs")
	theirs := func() string {
		return strings.Join(slices.Concat(lines(n.bridge(t, "fdb show dev theirs")), lines(n.ip(t, "neigh show dev theirs nud permanent")), lines(n.ip(t, "-4 -o addr show"))), "\n")
	}
	before := theirs()
	for round := range 40 {
		want := randomOverlay(r)
		for range r.IntN(4) {
			n.Run(t, "sh", "-c", meddle(r)+" >/dev/null 2>&1 || true")
		}
		if r.IntN(3) == 0 {
			n.apply(t, randomOverlay(r), false)
		}
		n.apply(t, want, true)
		fresh.apply(t, nil, true)
		fresh.apply(t, want, true)
		if diff := cmp.Diff(fresh.whole(t), n.whole(t)); diff != "" {
			t.Fatalf("round %d (-want +got):\n%s", round, diff)
		}
	}
	n.apply(t, nil, true)
	if diff := cmp.Diff(before, theirs()); diff != "" {
		t.Errorf("theirs changed (-want +got):\n%s", diff)
	}
}
