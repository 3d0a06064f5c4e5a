package cniplugin

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"

	"fairlead.dev/cniplugin/store"
	"fairlead.dev/dataplane/host"
	"fairlead.dev/dataplane/link"
)

// errTooSlow is an ADD that took longer than the agent waits before it takes
// its addresses for leaked.
var errTooSlow = errors.New("the attachment took too long and was undone")

// add implements ADD.
func (p plugin) add(args *skel.CmdArgs) error {
	c, err := parseConf(args.StdinData)
	if err != nil {
		return err
	}
	prev, err := c.previous()
	if err != nil {
		return err
	}
	pod, err := link.OpenNamespace(args.Netns) // refuses our own
	if err != nil {
		return err
	}
	defer pod.Close()
	node, err := link.Dial()
	if err != nil {
		return err
	}
	defer node.Close()

	spec, err := p.attach(c, args, node, pod)
	if err != nil {
		return err
	}
	if err := types.PrintResult(result(prev, c.CNIVersion, args.Netns, spec), c.CNIVersion); err != nil {
		return undo(c, args, node, fmt.Errorf("print the result: %w", err))
	}
	return nil
}

// attach takes addresses and wires them to the pod. On error it leaves nothing.
func (p plugin) attach(c conf, args *skel.CmdArgs, node *link.Node, pod *link.Namespace) (link.Spec, error) {
	spec := link.Spec{Host: link.Name(args.ContainerID, args.IfName), Pod: args.IfName, MTU: c.MTU}
	switch taken, err := pod.HasLink(args.IfName); {
	case err != nil:
		return spec, err
	case taken:
		return spec, fmt.Errorf("interface %s: %w", args.IfName, link.ErrPodLinkExists)
	}
	if c.MTU == 0 {
		mtu, err := node.UplinkMTU()
		if err != nil {
			return spec, err
		}
		spec.MTU = mtu
	}
	started, err := store.Now()
	if err != nil {
		return spec, err
	}
	if spec.Addresses, err = allocate(c, args, started); err != nil {
		return spec, err
	}
	if err := node.Wire(pod, spec); err != nil {
		if errors.Is(err, link.ErrNotUndone) {
			return spec, err // DEL tries again; until then the addresses stay taken
		}
		return spec, errors.Join(err, free(c, args))
	}
	switch now, err := host.SinceBoot(); {
	case err != nil:
		return spec, undo(c, args, node, err)
	case now-started.At > store.AddLimit:
		return spec, undo(c, args, node, errTooSlow)
	}
	return spec, nil
}

func allocate(c conf, args *skel.CmdArgs, now store.Stamp) (addrs []netip.Addr, err error) {
	s, err := c.openStore()
	if err != nil {
		return nil, err
	}
	namespace, name := podName(args.Args)
	request := store.Request{
		Attachment: attachment(args.ContainerID, args.IfName),
		Network:    c.Name, Namespace: namespace, Pod: name, Now: now, Rest: store.Cooldown,
	}
	err = s.Update(func(state *store.State) (err error) {
		addrs, err = state.Allocate(request)
		return err
	})
	return addrs, err
}

// undo takes a finished attachment back, in DEL's order.
func undo(c conf, args *skel.CmdArgs, node *link.Node, cause error) error {
	if err := node.Unwire(link.Name(args.ContainerID, args.IfName)); err != nil {
		return errors.Join(cause, err)
	}
	return errors.Join(cause, free(c, args))
}

// free frees what the attachment holds.
func free(c conf, args *skel.CmdArgs) error {
	s, err := c.openStore()
	if err != nil {
		return err
	}
	now, err := store.Now()
	if err != nil {
		return err
	}
	return s.Update(func(state *store.State) error {
		state.Free(attachment(args.ContainerID, args.IfName), now)
		return nil
	})
}
