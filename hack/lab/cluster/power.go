package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"fairlead.dev/hack/lab"
)

// PowerOff takes a machine's power: all that runs on it, its namespaces and its
// /run are gone at once. Its disk and its Node stay.
func (c *Cluster) PowerOff(ctx context.Context, name string) error {
	m := c.Machine(name)
	var errs []error
	// The services first, so that no end is taken for one of its own.
	services := m.services()
	for _, s := range slices.Backward(services) {
		if p, err := m.Service(s.name); err == nil {
			errs = append(errs, p.Kill9(ctx))
		}
	}
	if p, err := c.Process(name); err == nil {
		errs = append(errs, p.Kill9(ctx))
	}
	errs = append(errs, c.Lab.PowerOff(ctx, name), lab.RemoveCgroups(ctx, m.cgroup()))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("power off %s: %w", name, err)
	}
	return nil
}

// PowerOn boots a machine after PowerOff, or for the first time with Idle. It
// returns when its services are started.
func (c *Cluster) PowerOn(ctx context.Context, name string) error {
	if _, _, err := c.Topology().Node(name); err != nil {
		return err
	}
	// It has its network from the start, until it loses its power.
	if _, err := os.Stat("/run/netns/" + c.NSName(name)); errors.Is(err, os.ErrNotExist) {
		if err := c.Lab.PowerOn(ctx, name); err != nil {
			return err
		}
	}
	if err := c.Machine(name).start(ctx); err != nil {
		return fmt.Errorf("power on %s: %w", name, err)
	}
	return nil
}
