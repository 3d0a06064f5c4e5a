package cniplugin

import (
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/containernetworking/cni/pkg/types"

	"fairlead.dev/cniplugin/store"
	"fairlead.dev/dataplane/host"
	"fairlead.dev/dataplane/link"
)

var (
	// errTooSlow is an ADD that took longer than the agent waits before it takes
	// its addresses for leaked.
	errTooSlow = errors.New("the attachment took too long and was undone")
	// errOutput is a result that nobody took.
	errOutput = errors.New("cannot print the result")
)

// add implements ADD.
func (p plugin) add(r request, stdout io.Writer) error {
	c, err := parseConf(r.config)
	if err != nil {
		return err
	}
	prev, err := r.previous()
	if err != nil {
		return err
	}
	asked, err := r.readDemand()
	if err != nil {
		return err
	}
	pod, err := link.OpenNamespace(r.netns) // refuses our own
	if err != nil {
		return err
	}
	defer pod.Close()
	node, err := link.Dial()
	if err != nil {
		return err
	}
	defer node.Close()

	spec, err := attach(c, r, asked, node, pod)
	if err != nil {
		return err
	}
	if err := writeResult(stdout, prev, r, spec); err != nil {
		return undo(c, r, node, err)
	}
	return nil
}

func printResult(stdout io.Writer, result types.Result, version string) error {
	converted, err := result.GetAsVersion(version)
	if err == nil {
		err = converted.PrintTo(stdout)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errOutput, err)
	}
	return nil
}

// attach takes addresses and wires them to the pod. On error it leaves nothing.
func attach(c conf, r request, asked demand, node *link.Node, pod *link.Namespace) (link.Spec, error) {
	spec := link.Spec{Host: link.Name(r.containerID, r.ifName), Pod: r.ifName, MTU: c.MTU, MAC: asked.mac}
	switch taken, err := pod.HasLink(r.ifName); {
	case err != nil:
		return spec, err
	case taken:
		return spec, fmt.Errorf("interface %s: %w", r.ifName, link.ErrPodLinkExists)
	}
	if c.MTU == 0 {
		mtu, err := node.PodMTU()
		if err != nil {
			return spec, err
		}
		spec.MTU = mtu
	}
	want := r.wants()
	want.Pools, want.Addresses = c.Pools, asked.addresses()
	addrs, started, err := c.awaitRoom(func(now store.Stamp) ([]netip.Addr, error) {
		want.Now = now
		return allocate(c.place, want)
	})
	if err != nil {
		return spec, err
	}
	spec.Addresses = addrs
	if err := node.Wire(pod, spec); err != nil {
		if errors.Is(err, link.ErrNotUndone) {
			return spec, err // DEL tries again; until then the addresses stay taken
		}
		return spec, errors.Join(err, free(c.place, r.attachment()))
	}
	switch now, err := host.SinceBoot(); {
	case err != nil:
		return spec, undo(c, r, node, err)
	case now-started.At > store.AddLimit:
		return spec, undo(c, r, node, errTooSlow)
	}
	return spec, nil
}

// wants is what every attachment asks the store for, at whatever time.
func (r request) wants() store.Request {
	namespace, name := r.podName()
	return store.Request{Attachment: r.attachment(), Network: r.name, Namespace: namespace, Pod: name, Rest: store.Cooldown}
}

func allocate(c place, want store.Request) (addrs []netip.Addr, err error) {
	s, err := c.openStore()
	if err != nil {
		return nil, err
	}
	err = s.Update(func(state *store.State) (err error) {
		addrs, err = state.Allocate(want)
		return err
	})
	return addrs, err
}

// undo takes a finished attachment back, in DEL's order.
func undo(c conf, r request, node *link.Node, cause error) error {
	if err := node.Unwire(link.Name(r.containerID, r.ifName)); err != nil {
		return errors.Join(cause, err)
	}
	return errors.Join(cause, free(c.place, r.attachment()))
}

// free frees what the attachments hold.
func free(c place, all ...store.Attachment) error {
	s, err := c.openStore()
	if err != nil {
		return err
	}
	now, err := store.Now()
	if err != nil {
		return err
	}
	return s.Update(func(state *store.State) error {
		for _, a := range all {
			state.Free(a, now)
		}
		return nil
	})
}
