// Package overlay owns the node's VXLAN device (dataplane.OverlayLink) and all
// that hangs on it: its addresses, its forwarding entries, its neighbours, its
// settings.
//
// Invariants: a device of that name which is no VXLAN device is never touched;
// what the device holds beyond what is wanted is removed, whoever made it, and
// nothing of any other device ever is; what is in use is added before what it
// replaces is removed. Nothing is flooded and nothing learned, so the underlay
// carries no more than the packets that a route sends over the device.
package overlay

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/nl"
)

// ErrForeign is a device of our name that is not ours.
var ErrForeign = errors.New("the name is Fairlead's, and what has it is not a VXLAN device")

// Device is the VXLAN device of a network namespace. Its methods may be called
// by several goroutines, but two Applies with different wants would undo each
// other. Settings are those of the calling thread's namespace.
type Device struct {
	conn    *nl.Conn
	library *netlink.Handle
	sysctls string
	// last is what the last Apply wanted, for Watch.
	last atomic.Pointer[last]
}

// Open opens the device of the calling thread's network namespace, for good. It
// need not be there. sysctls is /proc/sys or another mount of it.
func Open(sysctls string) (*Device, error) {
	conn, err := nl.Dial()
	if err != nil {
		return nil, err
	}
	library, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open rtnetlink socket: %w", err), conn.Close())
	}
	return &Device{conn: conn, library: library, sysctls: sysctls}, nil
}

// Close frees the sockets. What is in the kernel stays.
func (d *Device) Close() error {
	d.library.Close()
	return d.conn.Close()
}

// Find returns the overlay addresses on the device, sorted, and whether it is
// there: one that is not ours is not.
func (d *Device) Find() (addresses []netip.Addr, there bool, err error) {
	link, err := d.find()
	if errors.Is(err, ErrForeign) {
		return nil, false, nil
	}
	if err != nil || link == nil {
		return nil, false, err
	}
	found, err := d.addresses(uint32(link.Index))
	for _, a := range found {
		if addr := a.Prefix.Addr(); !addr.IsLinkLocalUnicast() {
			addresses = append(addresses, addr)
		}
	}
	return addresses, true, err
}

// Apply makes the device as it is wanted, nil for none: it makes or changes it,
// adds and replaces what it holds, and removes the rest, the device too, only if
// prune is true: routes may need it still. The device is read back. One failed
// entry stops no other, and leaves the device up.
//
// A change of VNI, port or address family makes another device in the place of
// the old one, for the kernel cannot change these; its routes go with the old.
func (d *Device) Apply(want *dataplane.Overlay, prune bool) (dataplane.OverlayResult, error) {
	var result dataplane.OverlayResult
	link, err := d.find()
	if errors.Is(err, ErrForeign) && want == nil {
		link, err = nil, nil
	}
	if err != nil {
		return result, err
	}
	if want == nil {
		d.last.Store(nil)
		if link == nil || !prune {
			result.Surplus = link != nil
			return result, nil
		}
		return result, d.remove()
	}
	if link, err = d.ensure(link, *want); err != nil {
		return result, err
	}
	index := uint32(link.Index)
	d.last.Store(newLast(index, *want))
	addresses, addressErr := d.setAddresses(index, *want, prune)
	entries, entryErr := d.setEntries(index, *want, prune)
	return dataplane.OverlayResult{Up: true, Surplus: addresses || entries}, errors.Join(addressErr, entryErr)
}

// Remove removes the device and all that hangs on it. None is success.
func (d *Device) Remove() error {
	_, err := d.Apply(nil, true)
	return err
}

func (d *Device) remove() error {
	err := d.conn.Batch([]nl.Message{nl.DeleteLink(dataplane.OverlayLink)})[0]
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("delete device %s: %w", dataplane.OverlayLink, err)
	}
	return nil
}

// find returns nil if there is no device, and ErrForeign if it is not ours.
func (d *Device) find() (*netlink.Vxlan, error) {
	link, err := d.library.LinkByName(dataplane.OverlayLink)
	var missing netlink.LinkNotFoundError
	switch {
	case errors.As(err, &missing):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read device %s: %w", dataplane.OverlayLink, err)
	}
	vxlan, ok := link.(*netlink.Vxlan)
	if !ok {
		return nil, fmt.Errorf("device %s is of kind %q: %w; delete or rename it: ip link delete %[1]s", dataplane.OverlayLink, link.Type(), ErrForeign)
	}
	return vxlan, nil
}

// ensure makes, changes or replaces the device, and sets it up last.
func (d *Device) ensure(link *netlink.Vxlan, want dataplane.Overlay) (*netlink.Vxlan, error) {
	spec := nl.VXLAN{
		Name: dataplane.OverlayLink, MAC: nl.MAC(want.MAC), MTU: want.MTU, VNI: want.VNI, Port: want.Port, Local: want.Local,
	}
	if link != nil && !fits(link, want) {
		if err := d.remove(); err != nil {
			return nil, err
		}
		link = nil
	}
	switch {
	case link == nil:
		err := d.conn.Batch([]nl.Message{nl.AddVXLAN(spec)})[0]
		if errors.Is(err, unix.EEXIST) {
			err = fmt.Errorf("another device has this VNI on this port: delete that one, or give all agents another vxlanVNI: %w", err)
		}
		if err != nil {
			return nil, fmt.Errorf("create device %s, VNI %d, UDP port %d: %w", spec.Name, spec.VNI, spec.Port, err)
		}
	case !same(link, want):
		if err := errors.Join(d.conn.Batch(nl.ChangeVXLAN(uint32(link.Index), spec))...); err != nil {
			return nil, fmt.Errorf("change device %s: %w", spec.Name, err)
		}
	}
	if err := d.configure(want); err != nil {
		return nil, err
	}
	return d.raise(want)
}

// raise sets the device up and reads it back.
func (d *Device) raise(want dataplane.Overlay) (*netlink.Vxlan, error) {
	for range 2 {
		link, err := d.find()
		switch {
		case err != nil:
			return nil, err
		case link == nil || !fits(link, want) || !same(link, want):
			return nil, fmt.Errorf("device %s is not as it was just made: something else on this node changes it", dataplane.OverlayLink)
		case link.RawFlags&unix.IFF_UP != 0:
			return link, nil
		}
		if err := d.conn.Batch([]nl.Message{nl.LinkUp(uint32(link.Index))})[0]; err != nil {
			return nil, fmt.Errorf("set device %s up: %w", dataplane.OverlayLink, err)
		}
	}
	return nil, fmt.Errorf("device %s does not stay up: something else on this node sets it down", dataplane.OverlayLink)
}

// fits says that the device can become the wanted one.
func fits(have *netlink.Vxlan, want dataplane.Overlay) bool {
	local, _ := netip.AddrFromSlice(have.SrcAddr)
	return uint32(have.VxlanId) == want.VNI && have.Port == int(want.Port) && local.BitLen() == want.Local.BitLen() &&
		have.Group == nil && have.VtepDevIndex == 0 && !have.FlowBased && !have.GBP && !have.Proxy && !have.RSC &&
		!have.UDPCSum && !have.UDP6ZeroCSumTx && !have.UDP6ZeroCSumRx
}

// same says that a device that fits needs no change.
func same(have *netlink.Vxlan, want dataplane.Overlay) bool {
	return have.SrcAddr.Equal(net.IP(want.Local.AsSlice())) && have.TTL == 0 && have.TOS == nl.TOSInherit && !have.Learning &&
		have.MTU == int(want.MTU) && dataplane.MAC(have.HardwareAddr) == want.MAC
}
