package fake

import (
	"net/netip"
	"slices"
	"sync"

	"fairlead.dev/dataplane"
)

// Overlay is a VXLAN device without a kernel.
type Overlay struct {
	mu     sync.Mutex
	device *dataplane.Overlay
	broken error
}

// Break makes every Apply that wants a device fail with err, nil for none any more.
func (o *Overlay) Break(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.broken = err
}

// Device is the device as it is, nil for none.
func (o *Overlay) Device() *dataplane.Overlay {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.device
}

// Find is as that of overlay.Device.
func (o *Overlay) Find() (addresses []netip.Addr, there bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.device == nil {
		return nil, false, nil
	}
	return slices.Clone(o.device.Addresses), true, nil
}

// Apply is as that of overlay.Device.
func (o *Overlay) Apply(want *dataplane.Overlay, prune bool) (dataplane.OverlayResult, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if want == nil {
		if prune {
			o.device = nil
		}
		return dataplane.OverlayResult{Surplus: o.device != nil}, nil
	}
	if o.broken != nil {
		return dataplane.OverlayResult{}, o.broken
	}
	next := *want
	if !prune && o.device != nil && o.device.VXLAN == want.VXLAN && o.device.Local.Is4() == want.Local.Is4() {
		next.Addresses = union(want.Addresses, o.device.Addresses, func(a netip.Addr) netip.Addr { return a }, netip.Addr.Compare)
		next.VTEPs = union(want.VTEPs, o.device.VTEPs, func(v dataplane.VTEP) dataplane.MAC { return v.MAC }, compareVTEP)
	}
	o.device = &next
	return dataplane.OverlayResult{
		Up: true, Surplus: len(next.Addresses) > len(want.Addresses) || len(next.VTEPs) > len(want.VTEPs),
	}, nil
}

func compareVTEP(a, b dataplane.VTEP) int { return a.MAC.Compare(b.MAC) }

// union has of two items with one key the first's.
func union[T any, K comparable](a, b []T, key func(T) K, compare func(a, b T) int) []T {
	out := slices.Clone(a)
	for _, item := range b {
		if !slices.ContainsFunc(a, func(x T) bool { return key(x) == key(item) }) {
			out = append(out, item)
		}
	}
	slices.SortFunc(out, compare)
	return out
}
