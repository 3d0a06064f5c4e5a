package cluster

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"fairlead.dev/hack/lab/topology"
)

const (
	// commandBound ends any single command, an image's import and a chart's
	// installation included.
	commandBound = 3 * time.Minute
	// bound is how long anything that is waited for may take, on a busy machine.
	bound = 3 * time.Minute
	tick  = 100 * time.Millisecond
)

// execute runs a command line and returns its standard output. The error holds
// the command and what it said.
func execute(ctx context.Context, stdin io.Reader, line ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandBound)
	defer cancel()
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &said
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w: %s", strings.Join(line, " "), err, strings.TrimSpace(said.String()+out.String()))
	}
	return out.String(), nil
}

// host runs a command outside of all namespaces.
func (c *Cluster) host(ctx context.Context, line ...string) error {
	_, err := execute(ctx, nil, line...)
	return err
}

// control runs a command in the control plane's namespace.
func (c *Cluster) control(ctx context.Context, stdin io.Reader, argv ...string) (string, error) {
	return execute(ctx, stdin, c.EnterCommand(topology.RoleControlPlane, argv...)...)
}

// Kubectl runs kubectl as the cluster's admin; unlike the lab's it may take minutes.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	return c.control(ctx, nil, c.KubectlCommand(args...)...)
}

// Apply applies manifests, as kubectl apply -f - does.
func (c *Cluster) Apply(ctx context.Context, manifests string) error {
	_, err := c.control(ctx, strings.NewReader(manifests), c.KubectlCommand("apply", "--server-side", "-f", "-")...)
	return err
}

// WaitRollout waits until a workload, such as deployment/web, is as wanted.
func (c *Cluster) WaitRollout(ctx context.Context, namespace, workload string) error {
	_, err := c.Kubectl(ctx, "--namespace", namespace, "rollout", "status", workload, "--timeout", bound.String())
	return err
}

// PodExec runs a command in a pod, by way of the API server and kubelet.
func (c *Cluster) PodExec(ctx context.Context, namespace, pod string, argv ...string) (string, error) {
	return c.Kubectl(ctx, append([]string{"--namespace", namespace, "exec", pod, "--"}, argv...)...)
}

// eventually calls try until it returns nil, time is up, or a process of the lab
// has ended by itself.
func (c *Cluster) eventually(ctx context.Context, what string, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		if dead := c.Dead(); dead != nil {
			return fmt.Errorf("%s: %w", what, dead)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w (last: %w)", what, context.Cause(ctx), err)
		case <-time.After(tick):
		}
	}
}
