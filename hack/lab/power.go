package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"fairlead.dev/hack/lab/topology"
)

// PowerOff takes a machine's power: its processes and its pods are gone, with
// all that its kernel and its tmpfs held. Its disk and its Node object stay.
func (l *Lab) PowerOff(ctx context.Context, name string) error {
	if _, _, err := l.Topology().Node(name); err != nil {
		return err
	}
	n := l.Node(name)
	var errs []error
	if p, err := n.Agent(); err == nil {
		errs = append(errs, p.Kill9(ctx), l.processes.forget(p))
	}
	gone := []string{l.NSName(name)}
	l.mu.Lock()
	kept := l.pods[:0:0]
	for _, p := range l.pods {
		if p.Node == name {
			gone = append(gone, p.NetNS)
			continue
		}
		kept = append(kept, p)
	}
	l.pods = kept
	l.mu.Unlock()
	errs = append(errs, removeNamespaces(ctx, gone), l.waitUnplugged(ctx, name), os.RemoveAll(n.RunDir()), l.save())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("power off %s: %w", name, err)
	}
	return nil
}

// waitUnplugged waits until the switch has no port to a node any more: the kernel
// ends a namespace and the links in it some time after its name is gone.
func (l *Lab) waitUnplugged(ctx context.Context, name string) error {
	return poll(ctx, commandBound, 20*time.Millisecond, "end of the ports of "+name, func(ctx context.Context) error {
		out, err := l.Exec(ctx, topology.RoleSwitch, "ip", "-j", "link", "show")
		if err != nil {
			return err
		}
		for _, port := range topology.SwitchPorts(name) {
			if strings.Contains(out, strconv.Quote(port)) {
				return fmt.Errorf("the switch has %s", port)
			}
		}
		return nil
	})
}

// PowerOn boots a machine after PowerOff. It returns when its agent is started.
// Its Node is registered again if it was deleted meanwhile.
func (l *Lab) PowerOn(ctx context.Context, name string) error {
	wiring, err := l.Topology().NodeWiring(name, l.NSName)
	if err != nil {
		return err
	}
	if err := l.lay(ctx, wiring); err != nil {
		return fmt.Errorf("power on %s: %w", name, err)
	}
	if l.opts.NetworkOnly {
		return nil
	}
	return l.startNode(ctx, name)
}

// CutCable takes the carrier off a node's or ToR's link to its rack; MendCable
// brings it back. The link stays up as its owner has set it.
func (l *Lab) CutCable(ctx context.Context, role string) error { return l.setCable(ctx, role, "down") }

// MendCable undoes CutCable.
func (l *Lab) MendCable(ctx context.Context, role string) error { return l.setCable(ctx, role, "up") }

func (l *Lab) setCable(ctx context.Context, role, state string) error {
	if _, err := l.Exec(ctx, topology.RoleSwitch, "ip", "link", "set", topology.SwitchPorts(role)[0], state); err != nil {
		return fmt.Errorf("cable of %s: %w", role, err)
	}
	return nil
}
