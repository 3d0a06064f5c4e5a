package cluster

import (
	"context"
	"errors"
	"fmt"

	"fairlead.dev/hack/lab"
)

// AddNode brings one more machine into a rack and boots it. No router is touched.
func (c *Cluster) AddNode(ctx context.Context, rack, name string) (*Machine, error) {
	if _, err := c.AddMachine(ctx, rack, name); err != nil {
		return nil, err
	}
	return c.Machine(name), c.PowerOn(ctx, name)
}

// RemoveNode takes a machine away, as if its power went, with its disk, and
// deletes its Node.
func (c *Cluster) RemoveNode(ctx context.Context, name string) error {
	m := c.Machine(name)
	errs := []error{m.halt(ctx), c.Lab.RemoveNode(ctx, name), lab.RemoveCgroups(ctx, m.cgroup())}
	for _, p := range m.processes() {
		errs = append(errs, c.ForgetProcess(p))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove node %s: %w", name, err)
	}
	return nil
}
