package dataplane_test

import (
	"net/netip"
	"testing"

	"fairlead.dev/dataplane"
)

func TestOverlayMAC(t *testing.T) {
	m := dataplane.OverlayMAC("r1n1")
	if m != dataplane.OverlayMAC("r1n1") || m == dataplane.OverlayMAC("r1n2") {
		t.Errorf("%s: must follow from the name", m)
	}
	if m[0]&3 != 2 {
		t.Errorf("%s: must be unicast and locally administered", m)
	}
	// Every release must give a node the same: the others derive it by themselves.
	if want := "d6:91:c5:0b:da:52"; m.String() != want {
		t.Errorf("got %s, want %s", m, want)
	}
}

func TestLinkLocal(t *testing.T) {
	m := dataplane.MAC{0x02, 0, 0, 0, 0, 0x0b}
	if got, want := m.LinkLocal(), netip.MustParseAddr("fe80::ff:fe00:b"); got != want { // as Linux made it
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestOverlayMTU(t *testing.T) {
	v4, v6 := netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("fd00::1")
	for _, test := range []struct {
		uplink uint32
		local  netip.Addr
		want   uint32
	}{{1500, v4, 1450}, {1500, v6, 1430}, {9000, v4, 8950}, {1300, v4, 1280}, {10, v6, 1280}} {
		if got := dataplane.OverlayMTU(test.uplink, test.local); got != test.want {
			t.Errorf("uplink %d, underlay %s: %d, want %d", test.uplink, test.local, got, test.want)
		}
	}
}
