package fake_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/fake"
	"fairlead.dev/dataplane/nstest"
	"fairlead.dev/dataplane/overlay"
)

// overlayPort is what the agent needs of either.
type overlayPort interface {
	Find() ([]netip.Addr, bool, error)
	Apply(want *dataplane.Overlay, prune bool) (dataplane.OverlayResult, error)
}

type overlayStep struct {
	want      *dataplane.Overlay
	prune     bool
	result    dataplane.OverlayResult
	addresses []string
	there     bool
}

func overlaySteps() []overlayStep {
	device := func(vni uint32, vtep byte, addresses ...string) *dataplane.Overlay {
		o := &dataplane.Overlay{
			VXLAN: dataplane.VXLAN{VNI: vni, Port: 4789}, Local: netip.MustParseAddr("10.1.0.11"),
			MAC: dataplane.OverlayMAC("n1"), MTU: 1450,
			VTEPs: []dataplane.VTEP{{MAC: dataplane.MAC{2, 0, 0, 0, 0, vtep}, Underlay: netip.MustParseAddr("10.1.0.12"), Neighbours: []netip.Addr{netip.AddrFrom4([4]byte{10, 1, 0, vtep})}}},
		}
		for _, a := range addresses {
			o.Addresses = append(o.Addresses, netip.MustParseAddr(a))
		}
		return o
	}
	up, surplus := dataplane.OverlayResult{Up: true}, dataplane.OverlayResult{Up: true, Surplus: true}
	return []overlayStep{
		{},
		{want: device(1, 2, "10.244.0.0", "fd00::"), result: up, addresses: []string{"10.244.0.0", "fd00::"}, there: true},
		{want: device(1, 2, "10.244.0.1"), result: surplus, addresses: []string{"10.244.0.0", "10.244.0.1", "fd00::"}, there: true},
		{want: device(1, 2, "10.244.0.1"), prune: true, result: up, addresses: []string{"10.244.0.1"}, there: true},
		{want: device(1, 3, "10.244.0.1"), result: surplus, addresses: []string{"10.244.0.1"}, there: true},
		{want: device(2, 3, "10.244.0.9"), result: up, addresses: []string{"10.244.0.9"}, there: true}, // another device
		{result: dataplane.OverlayResult{Surplus: true}, addresses: []string{"10.244.0.9"}, there: true},
		{prune: true},
		{prune: true},
	}
}

func testOverlay(t *testing.T, o overlayPort) {
	for i, step := range overlaySteps() {
		result, err := o.Apply(step.want, step.prune)
		if err != nil || result != step.result {
			t.Errorf("step %d: got %v, %v, want %v", i, result, err, step.result)
		}
		found, there, err := o.Find()
		if err != nil || there != step.there {
			t.Errorf("step %d: there %v, %v, want %v", i, there, err, step.there)
		}
		var addresses []string
		for _, a := range found {
			addresses = append(addresses, a.String())
		}
		if diff := cmp.Diff(step.addresses, addresses, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("step %d: addresses (-want +got):\n%s", i, diff)
		}
	}
}

func TestOverlayContract(t *testing.T) {
	t.Run("fake", func(t *testing.T) { testOverlay(t, &fake.Overlay{}) })
	t.Run("kernel", func(t *testing.T) {
		nstest.New(t, "contract").Do(t, func() {
			device, err := overlay.Open("/proc/sys")
			if err != nil {
				t.Error(err)
				return
			}
			defer device.Close()
			testOverlay(t, device)
		})
	})
}
