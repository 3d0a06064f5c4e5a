package node_test

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/cniplugin/store"
	"fairlead.dev/controller/plan"
	"fairlead.dev/dataplane"
)

// newOverlayRig has a pool with VXLAN, and another node with a block of it.
func newOverlayRig(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.change(func(in *plan.Intent) {
		in.Node.Spec.Addresses = []string{"10.1.0.11"}
		in.Pools = []v1alpha1.IPPool{{
			ObjectMeta: metav1.ObjectMeta{Name: "p", UID: "p1"},
			Spec:       v1alpha1.IPPoolSpec{CIDR: "10.244.0.0/16", Encapsulation: v1alpha1.EncapsulationVXLAN},
		}}
		in.Blocks[0].Spec.PoolUID = "p1"
		in.Mesh = []v1alpha1.BGPNode{{
			ObjectMeta: metav1.ObjectMeta{Name: "n2"},
			Spec:       v1alpha1.BGPNodeSpec{Addresses: []string{"10.2.0.11"}, ASNumber: 65102, RouterID: "10.2.0.11", VTEP: &v1alpha1.VTEP{VNI: 4096, Port: 4789}},
		}}
		in.MeshBlocks = []v1alpha1.IPBlock{{
			ObjectMeta: metav1.ObjectMeta{Name: "10.244.0.64-26"},
			Spec:       v1alpha1.IPBlockSpec{CIDR: away.String(), PoolName: "p", PoolUID: "p1", NodeName: "n2", State: v1alpha1.BlockLeased},
		}}
	})
	return r
}

func (r *rig) change(f func(*plan.Intent)) {
	r.intents.Lock()
	defer r.intents.Unlock()
	r.intents.in.Blocks = slices.Clone(r.intents.in.Blocks)
	r.intents.in.Pools = slices.Clone(r.intents.in.Pools)
	f(&r.intents.in)
}

func (r *rig) setEncapsulation(e v1alpha1.Encapsulation) {
	r.change(func(in *plan.Intent) { in.Pools[0].Spec.Encapsulation = e })
}

// peersSent lets both ToRs send what they have, and the end of it.
func (r *rig) peersSent(prefixes ...netip.Prefix) {
	for _, tor := range []netip.Addr{tor1, tor2} {
		r.speaker.Establish(tor)
		for _, p := range prefixes {
			r.speaker.Receive(tor, p, tor)
		}
		r.speaker.EndOfRIB(tor)
	}
	r.settle()
}

// link is the one that the kernel's route of the prefix is on, and its source.
func (r *rig) link(t *testing.T, p netip.Prefix) (link string, source netip.Addr) {
	t.Helper()
	routes, err := r.kernel.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, route := range routes {
		if route.Prefix == p {
			return route.Link, route.Source
		}
	}
	t.Errorf("no route to %s", p)
	return "", netip.Addr{}
}

func (r *rig) state(t *testing.T) store.State {
	t.Helper()
	s, err := r.store.Read()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOverlay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newOverlayRig(t)
		r.start(t)
		r.peersSent(away)
		device := r.overlay.Device()
		if device == nil || !slices.Equal(device.Addresses, []netip.Addr{own.Addr()}) || len(device.VTEPs) != 1 {
			t.Fatalf("device: %+v", device)
		}
		if link, source := r.link(t, away); link != dataplane.OverlayLink || source != own.Addr() {
			t.Errorf("route on %q from %s", link, source)
		}
		if v := r.View().State.VTEP; v == nil || *v != (v1alpha1.VTEP{VNI: 4096, Port: 4789}) {
			t.Errorf("reported: %v", v)
		}
		if used := r.View().State.Blocks[0].Used; used != 1 {
			t.Errorf("%d addresses in use, want the node's own", used)
		}
	})
}

// The device is as wide as the uplinks leave room for.
func TestOverlayMTUFollowsTheUplinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newOverlayRig(t)
		r.start(t)
		if got := r.overlay.Device().MTU; got != 1450 {
			t.Errorf("MTU %d, want 1450", got)
		}
		r.links.Lock()
		r.links.mtu = 9000
		r.links.Unlock()
		r.settle()
		if got := r.overlay.Device().MTU; got != 8950 {
			t.Errorf("MTU %d, want 8950", got)
		}
	})
}

// What nothing wants is not reported at once, sends nothing, and is heard on for a
// while, with the address that connections have.
func TestOverlayLingers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newOverlayRig(t)
		r.start(t)
		r.peersSent(away)
		r.setEncapsulation(v1alpha1.EncapsulationNone)
		r.settle()
		if link, _ := r.link(t, away); link != "" {
			t.Errorf("route on %q", link)
		}
		if v := r.View().State.VTEP; v != nil {
			t.Errorf("reported: %v", v)
		}
		device := r.overlay.Device()
		if device == nil || len(device.VTEPs) != 0 || !slices.Equal(device.Addresses, []netip.Addr{own.Addr()}) {
			t.Fatalf("device: %+v", device)
		}
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		if r.overlay.Device() == nil {
			t.Error("gone too early")
		}
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		s := r.state(t)
		if held := s.Overlay(); r.overlay.Device() != nil || held != nil {
			t.Errorf("left: %+v, %v", r.overlay.Device(), held)
		}
	})
}

// A device of an earlier agent stays as long as if it had been wanted until now.
func TestOverlayOfAnEarlierAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newOverlayRig(t)
		r.setEncapsulation(v1alpha1.EncapsulationNone)
		if _, err := r.overlay.Apply(&dataplane.Overlay{VXLAN: dataplane.VXLAN{VNI: 4096, Port: 4789}}, true); err != nil {
			t.Fatal(err)
		}
		r.start(t)
		r.peersSent()
		if r.overlay.Device() == nil {
			t.Fatal("gone too early")
		}
		time.Sleep(7 * time.Minute)
		synctest.Wait()
		if r.overlay.Device() != nil {
			t.Error("still there")
		}
	})
}

// The address moves to another block when its own drains, which is then let go.
func TestOverlayAddressMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newOverlayRig(t)
		r.start(t)
		r.peersSent()
		r.change(func(in *plan.Intent) {
			next := in.Blocks[0]
			next.Name, next.UID, next.Spec.CIDR = "10.244.0.128-26", types.UID("b2"), old.String()
			in.Blocks[0].Spec.State = v1alpha1.BlockDraining
			in.Blocks = append(in.Blocks, next)
		})
		r.settle()
		r.settle()
		if got := r.overlay.Device().Addresses; !slices.Equal(got, []netip.Addr{old.Addr()}) {
			t.Errorf("on the device: %v", got)
		}
		if _, source := r.link(t, away); source != old.Addr() {
			t.Errorf("source is %s", source)
		}
		if got := r.View().State.ReleasedBlocks; !slices.Equal(got, []string{"b1"}) {
			t.Errorf("released: %v", got)
		}
	})
}

// With its last block the address goes, and the routes stay without one.
func TestOverlayAddressGoesWithTheLastBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newOverlayRig(t)
		r.start(t)
		r.peersSent()
		r.setBlock(func(b *v1alpha1.IPBlock) { b.Spec.State = v1alpha1.BlockDraining })
		r.settle()
		r.settle()
		if got := r.View().State.ReleasedBlocks; !slices.Equal(got, []string{"b1"}) {
			t.Errorf("released: %v", got)
		}
		if link, source := r.link(t, away); link != dataplane.OverlayLink || source.IsValid() || len(r.overlay.Device().Addresses) > 0 {
			t.Errorf("route on %q from %s, device %v", link, source, r.overlay.Device().Addresses)
		}
	})
}

// A store that is lost gives the address that the device has to nobody else.
func TestOverlayAddressAfterAStoreLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newOverlayRig(t)
		kept := own.Addr().Next().Next()
		if _, err := r.overlay.Apply(&dataplane.Overlay{VXLAN: dataplane.VXLAN{VNI: 4096, Port: 4789}, Addresses: []netip.Addr{kept}}, true); err != nil {
			t.Fatal(err)
		}
		r.start(t)
		s := r.state(t)
		if got := s.Overlay(); !slices.Equal(got, []netip.Addr{kept}) {
			t.Errorf("held: %v", got)
		}
		if _, source := r.link(t, away); source != kept {
			t.Errorf("source is %s", source)
		}
	})
}

// Without a device the node goes the way that BGP knows, says why, and is not sent to.
func TestOverlayThatCannotBeHad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newOverlayRig(t)
		r.overlay.Break(errors.New("the name is taken"))
		r.start(t)
		r.peersSent(away)
		if link, _ := r.link(t, away); link != "" {
			t.Errorf("route on %q", link)
		}
		if r.View().State.VTEP != nil || r.reason(v1alpha1.ConditionReady) != "SyncFailed" {
			t.Errorf("reported %v, %s", r.View().State.VTEP, r.reason(v1alpha1.ConditionReady))
		}
		r.overlay.Break(nil)
		r.settle()
		if link, _ := r.link(t, away); link != dataplane.OverlayLink || r.View().State.VTEP == nil {
			t.Errorf("not mended: route on %q", link)
		}
	})
}
