package cniplugin

import (
	"fmt"

	"github.com/containernetworking/cni/pkg/skel"

	"fairlead.dev/dataplane/link"
)

// del implements DEL. It needs neither the pod's namespace nor prevResult: the
// link is found by a name made of the container ID and the interface, and the
// addresses by the same two. What is gone already is success. The link goes
// first: an address must not be free while the kernel still routes it.
func (p plugin) del(args *skel.CmdArgs) error {
	c, err := parseLenient(args.StdinData)
	if err != nil {
		return err
	}
	node, err := link.Dial()
	if err != nil {
		return err
	}
	defer node.Close()
	if err := node.Unwire(link.Name(args.ContainerID, args.IfName)); err != nil {
		return err
	}
	err = free(c, args)
	if noStore(err) {
		p.log.Warn("no address store to free the pod's addresses in", "err", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("free the addresses of container %s, interface %s: %w", args.ContainerID, args.IfName, err)
	}
	return nil
}
