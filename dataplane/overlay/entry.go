package overlay

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/nl"
)

type (
	// forwardTable says where frames to a MAC go, in the underlay.
	forwardTable map[dataplane.MAC]netip.Addr
	// neighbourTable says which MAC a next hop has.
	neighbourTable map[netip.Addr]dataplane.MAC
)

// step is one request and what it is for.
type step struct {
	what string
	msg  nl.Message
	// done is the errno that means that it was so already.
	done unix.Errno
}

// run sends all steps at once. One that fails stops no other.
func (d *Device) run(steps []step) error {
	msgs := make([]nl.Message, len(steps))
	for i, s := range steps {
		msgs[i] = s.msg
	}
	var errs []error
	for i, err := range d.conn.Batch(msgs) {
		if err != nil && (steps[i].done == 0 || !errors.Is(err, steps[i].done)) {
			errs = append(errs, fmt.Errorf("%s on device %s: %w", steps[i].what, dataplane.OverlayLink, err))
		}
	}
	return errors.Join(errs...)
}

// finish sends the steps, and with prune the removals after them. It says whether
// something is left to remove.
func (d *Device) finish(steps, removals []step, prune bool) (surplus bool, err error) {
	if prune {
		steps, removals = append(steps, removals...), nil
	}
	return len(removals) > 0, d.run(steps)
}

// setEntries lists and makes them as wanted: forwarding entries before the
// neighbours that need them. A listing that was interrupted may lack some, which
// are then set once more; what is removed, it has shown. It says whether others
// are left.
func (d *Device) setEntries(index uint32, want dataplane.Overlay, prune bool) (surplus bool, err error) {
	forwards, neighbours := tables(want)
	haveForwards, err := d.forwards(index)
	if err != nil {
		return false, err
	}
	haveNeighbours, err := d.neighbours(index)
	if err != nil {
		return false, err
	}
	setF, removeF := diff(forwards, haveForwards, dataplane.MAC.Compare)
	setN, removeN := diff(neighbours, haveNeighbours, netip.Addr.Compare)
	var steps []step
	for _, mac := range setF {
		f := nl.Forward{Link: index, MAC: nl.MAC(mac), To: forwards[mac]}
		steps = append(steps, step{what: fmt.Sprintf("set forwarding entry %s to %s", mac, f.To), msg: nl.SetForward(f)})
	}
	for _, addr := range setN {
		n := nl.Neighbour{Link: index, Addr: addr, MAC: nl.MAC(neighbours[addr]), State: unix.NUD_PERMANENT}
		steps = append(steps, step{what: fmt.Sprintf("set neighbour %s to %s", addr, neighbours[addr]), msg: nl.SetNeighbour(n)})
	}
	return d.finish(steps, removals(index, removeF, removeN), prune)
}

func removals(index uint32, forwards []dataplane.MAC, neighbours []netip.Addr) []step {
	var steps []step
	for _, addr := range neighbours {
		n := nl.Neighbour{Link: index, Addr: addr}
		steps = append(steps, step{fmt.Sprintf("remove neighbour %s", addr), nl.DeleteNeighbour(n), unix.ENOENT})
	}
	for _, mac := range forwards {
		f := nl.Forward{Link: index, MAC: nl.MAC(mac)}
		steps = append(steps, step{fmt.Sprintf("remove forwarding entry %s", mac), nl.DeleteForward(f), unix.ENOENT})
	}
	return steps
}

// forwards lists the device's entries. One that we would not write so has no address.
func (d *Device) forwards(index uint32) (map[dataplane.MAC][]netip.Addr, error) {
	list, err := d.conn.Forwards(index)
	if err != nil && !errors.Is(err, nl.ErrInterrupted) {
		return nil, err
	}
	have := make(map[dataplane.MAC][]netip.Addr, len(list))
	for _, f := range list {
		mac, to := dataplane.MAC(f.MAC), forwardTo(f)
		if to.IsValid() && slices.Contains(have[mac], to) {
			continue // an interrupted listing tells some twice
		}
		have[mac] = append(have[mac], to)
	}
	return have, nil
}

func forwardTo(f nl.Forward) netip.Addr {
	if f.Extra {
		return netip.Addr{}
	}
	return f.To
}

// neighbours lists the device's entries, but for those that the kernel makes of
// itself and forgets again. One that we would not write so has no MAC.
func (d *Device) neighbours(index uint32) (map[netip.Addr][]dataplane.MAC, error) {
	list, err := d.conn.NeighboursOf(index)
	if err != nil && !errors.Is(err, nl.ErrInterrupted) {
		return nil, err
	}
	have := make(map[netip.Addr][]dataplane.MAC, len(list))
	for _, n := range list {
		if n.State == unix.NUD_PERMANENT {
			have[n.Addr] = []dataplane.MAC{dataplane.MAC(n.MAC)}
		}
	}
	return have, nil
}
