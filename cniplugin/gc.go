package cniplugin

import (
	"errors"
	"fmt"

	"github.com/containernetworking/cni/pkg/skel"

	"fairlead.dev/cniplugin/store"
	"fairlead.dev/dataplane/link"
)

// gc implements GC: what this network's attachments hold that the runtime no
// longer knows is unwired and freed. One that fails does not stop the others.
// The runtime runs no ADD or DEL beside it (CNI specification, section 3).
func (p plugin) gc(args *skel.CmdArgs) error {
	c, err := parseLenient(args.StdinData)
	if err != nil {
		return err
	}
	s, err := c.openStore()
	if noStore(err) {
		return nil // nothing is held
	}
	if err != nil {
		return err
	}
	state, err := s.Read()
	if err != nil {
		return err
	}
	var valid []store.Attachment
	for _, a := range c.ValidAttachments {
		valid = append(valid, attachment(a.ContainerID, a.IfName))
	}
	return release(s, state.Stale(c.Name, valid))
}

// release unwires and frees allocations in DEL's order. It takes the store's lock
// even for none: what a killed ADD left of a file goes with that.
func release(s *store.Store, stale []store.Allocation) error {
	node, err := link.Dial()
	if err != nil {
		return err
	}
	defer node.Close()
	var gone []store.Attachment
	var errs []error
	for _, held := range stale {
		if err := node.Unwire(held.HostVeth); err != nil {
			errs = append(errs, fmt.Errorf("container %s, interface %s: %w", held.ContainerID, held.IfName, err))
			continue
		}
		gone = append(gone, store.Attachment{ContainerID: held.ContainerID, IfName: held.IfName, HostVeth: held.HostVeth})
	}
	now, err := store.Now()
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	errs = append(errs, s.Update(func(state *store.State) error {
		for _, a := range gone {
			state.Free(a, now)
		}
		return nil
	}))
	return errors.Join(errs...)
}
