package node_test

import (
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fairlead.dev/controller/view"
)

// A person sees of each route where it is from and how packets go.
func TestViewOfRoutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newOverlayRig(t)
		r.start(t)
		r.peersSent(away, old)
		want := []view.Route{
			{Prefix: own, Origin: "block", Path: "blackhole", Installed: true, Advertised: true},
			{
				Prefix: away, Origin: "lease", Node: "n2", Path: "VXLAN", Source: own.Addr(),
				NextHops: []netip.Addr{netip.MustParseAddr("10.2.0.11")}, Installed: true,
			},
			{
				Prefix: old, Origin: "learned", Path: "native",
				NextHops: []netip.Addr{tor1, tor2}, From: []netip.Addr{tor1, tor2}, Installed: true,
			},
		}
		v := r.View()
		if diff := cmp.Diff(want, v.Routes, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
			t.Errorf("routes (-want +got):\n%s", diff)
		}
		if len(v.Spec.Addresses) != 1 || v.Spec.Addresses[0] != "10.1.0.11" {
			t.Errorf("decided for the node: %+v", v.Spec)
		}
	})
}
