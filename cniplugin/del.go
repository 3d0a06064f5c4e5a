package cniplugin

import (
	"fmt"

	"fairlead.dev/cniplugin/store"
	"fairlead.dev/dataplane/link"
)

// del implements DEL. It needs neither the pod's namespace nor prevResult: the
// link is found by a name made of the container ID and the interface, and the
// addresses by the same two. What is gone already is success. The link goes
// first: an address must not be free while the kernel still routes it.
func (p plugin) del(r request) error {
	c, err := parsePlace(r.config)
	if err != nil {
		return err
	}
	node, err := link.Dial()
	if err != nil {
		return err
	}
	defer node.Close()
	if err := node.Unwire(link.Name(r.containerID, r.ifName)); err != nil {
		return err
	}
	return p.freeAsFarAsThere(c, r.attachment())
}

// freeAsFarAsThere frees what the attachment holds in a store that is there.
// Without one there is nothing to free: the agent makes it anew from the links
// that are left.
func (p plugin) freeAsFarAsThere(c place, a store.Attachment) error {
	err := free(c, a)
	switch {
	case noStore(err):
		p.log.Warn("no address store to free the pod's addresses in", "err", err)
		return nil
	case err != nil:
		return fmt.Errorf("free the addresses of container %s, interface %s: %w", a.ContainerID, a.IfName, err)
	}
	return nil
}
