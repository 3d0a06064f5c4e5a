package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"fairlead.dev/hack/lab"
)

// PowerOff takes a machine's power: all that runs on it, its namespaces and its
// /run are gone at once. Its disk and its Node stay.
func (c *Cluster) PowerOff(ctx context.Context, name string) error {
	m := c.Machine(name)
	if err := errors.Join(m.halt(ctx), c.Lab.PowerOff(ctx, name), lab.RemoveCgroups(ctx, m.cgroup())); err != nil {
		return fmt.Errorf("power off %s: %w", name, err)
	}
	return nil
}

// halt ends all that runs on the machine.
func (m *Machine) halt(ctx context.Context) error {
	var errs []error
	// The machine last, so that no service's end is taken for one by itself.
	for _, p := range m.processes() {
		errs = append(errs, p.Kill9(ctx))
	}
	return errors.Join(errs...)
}

// processes of the machine that the lab knows, in the order of their end.
func (m *Machine) processes() []*lab.Process {
	var all []*lab.Process
	for _, name := range slices.Backward(services()) {
		if p, err := m.Service(name); err == nil {
			all = append(all, p)
		}
	}
	if p, err := m.cluster.Process(m.Name); err == nil {
		all = append(all, p)
	}
	return all
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

// WaitPods waits until all pods of a node run, each with containers that were
// started since: those that the API remembers from before a boot are not meant.
func (c *Cluster) WaitPods(ctx context.Context, node string, since time.Time) error {
	// The API has no more than seconds.
	since = since.Truncate(time.Second)
	return c.eventually(ctx, "pods of "+node, func(ctx context.Context) error {
		var list corev1.PodList
		if err := c.Client().List(ctx, &list); err != nil {
			return fmt.Errorf("list pods: %w", err)
		}
		for _, pod := range list.Items {
			if pod.Spec.NodeName != node || pod.DeletionTimestamp != nil {
				continue
			}
			if err := startedSince(pod, since); err != nil {
				return err
			}
		}
		return nil
	})
}

func startedSince(pod corev1.Pod, since time.Time) error {
	for _, status := range pod.Status.ContainerStatuses {
		if !status.Ready || status.State.Running == nil || status.State.Running.StartedAt.Time.Before(since) {
			return fmt.Errorf("container %s of pod %s is not ready since %s", status.Name, pod.Name, since)
		}
	}
	return nil
}
