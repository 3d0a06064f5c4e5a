package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// netnsDir is where iproute2 keeps named network namespaces.
const netnsDir = "/run/netns"

// commandBound ends any single short command of the lab.
const commandBound = 30 * time.Second

// run runs a short command and returns its standard output. The error holds
// the command and what it said.
func run(ctx context.Context, stdin, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandBound)
	defer cancel()
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &said
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err,
			strings.TrimSpace(said.String()+out.String()))
	}
	return out.String(), nil
}

// nsPath is the file of a namespace.
func nsPath(ns string) string { return filepath.Join(netnsDir, ns) }

// enter is the command line that runs argv inside a namespace. nsenter executes
// argv in its own place: the pid stays. Unlike `ip netns exec` it changes no mount.
func enter(ns string, argv ...string) []string {
	return append([]string{"nsenter", "--net=" + nsPath(ns), "--"}, argv...)
}

// NSName is the namespace of a role: a node's, router's or pod's.
func (l *Lab) NSName(role string) string { return "fl-" + l.Instance + "-" + role }

// Exec runs a short command in a role's namespace and returns its standard output.
func (l *Lab) Exec(ctx context.Context, role string, argv ...string) (string, error) {
	line := enter(l.NSName(role), argv...)
	return run(ctx, "", line[0], line[1:]...)
}

// EnterCommand is the command line that runs argv in a role's namespace.
func (l *Lab) EnterCommand(role string, argv ...string) []string {
	return enter(l.NSName(role), argv...)
}

// poll calls try every interval until it is nil or the bound is over; then the
// last error is the reason given.
func poll(ctx context.Context, bound, interval time.Duration, what string, try func(context.Context) error) error {
	start := time.Now()
	deadline := start.Add(bound)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		var final permanent
		if errors.As(err, &final) {
			return final.error
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: not within %v: %w", what, bound, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w (last: %w)", what, context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// permanent is an error that another try does not cure: poll ends with it.
type permanent struct{ error }
