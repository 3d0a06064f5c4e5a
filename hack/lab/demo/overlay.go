package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fairlead.dev/dataplane"
	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/topology"
)

// overlay sends what goes to the other rack by VXLAN, and back to native routing,
// under pings both ways.
func (d *demo) overlay(ctx context.Context) (err error) {
	here, there := d.pods[0], d.pods[len(d.pods)-1]
	var pings []*lab.Pinger
	stop := func() error {
		var errs []error
		sent := 0
		for _, p := range pings {
			trace, err := p.Stop()
			if sent += trace.Sent; err == nil && trace.Lost() > 0 {
				err = fmt.Errorf("pings between %s and %s: %v", here.Role(), there.Role(), trace)
			}
			errs = append(errs, err)
		}
		pings = nil
		if err := errors.Join(errs...); err != nil {
			return err
		}
		d.ok("to VXLAN and back: none of %d pings lost, IPv4 and IPv6, both ways", sent)
		return nil
	}
	defer func() {
		if len(pings) > 0 {
			err = errors.Join(err, stop())
		}
	}()
	for _, f := range []topology.Family{topology.V4, topology.V6} {
		for _, pair := range [][2]lab.Pod{{here, there}, {there, here}} {
			p, err := d.lab.StartPing(ctx, pair[0].Role(), pair[1].Address(f))
			if err != nil {
				return err
			}
			pings = append(pings, p)
		}
	}
	if err := d.encapsulate(ctx, "VXLANCrossSubnet", here, there); err != nil {
		return err
	}
	for _, command := range [][]string{
		{"ip", "-4", "route", "show", "proto", lab.AgentProtocol()},
		{"bridge", "fdb", "show", "dev", dataplane.OverlayLink},
	} {
		if err := d.on(ctx, here.Node, command...); err != nil {
			return err
		}
	}
	if err := d.encapsulate(ctx, "None", here, there); err != nil {
		return err
	}
	return stop()
}

// encapsulate changes the pools and waits until the two pods' nodes send to each
// other so.
func (d *demo) encapsulate(ctx context.Context, how string, here, there lab.Pod) error {
	patch := fmt.Sprintf(`{"spec":{"encapsulation":%q}}`, how)
	if err := d.kubectl(ctx, "patch", "ippools", "pods-v4", "pods-v6", "--type=merge", "--patch="+patch); err != nil {
		return err
	}
	began := time.Now()
	for {
		err := errors.Join(d.sendsBy(ctx, how, here.Node, there), d.sendsBy(ctx, how, there.Node, here))
		if err == nil {
			return nil
		}
		if time.Since(began) > waitBound {
			return fmt.Errorf("encapsulation %s: not within %v: %w", how, waitBound, err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// sendsBy fails until the node's kernel has the encapsulation's routes to the pod.
func (d *demo) sendsBy(ctx context.Context, how, node string, to lab.Pod) error {
	for _, f := range []topology.Family{topology.V4, topology.V6} {
		routes, err := d.lab.KernelRoutes(ctx, node, f)
		if err != nil {
			return err
		}
		found := false
		for _, r := range routes {
			if r.Protocol != lab.AgentProtocol() || !r.Prefix.Contains(to.Address(f)) {
				continue
			}
			found = true
			if overlay := r.Device == dataplane.OverlayLink; overlay != (how != "None") {
				return fmt.Errorf("%s sends to %s by %s", node, r.Prefix, r.Device)
			}
		}
		if !found {
			return fmt.Errorf("%s has no route to %s", node, to.Address(f))
		}
	}
	return nil
}
