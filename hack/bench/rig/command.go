package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"fairlead.dev/dataplane/nstest"
)

// commandBound ends any single short command.
const commandBound = time.Minute

// Run runs a short command inside a namespace and returns its standard output.
// The error holds the command and what it said.
func Run(ctx context.Context, ns nstest.NS, argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandBound)
	defer cancel()
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := ns.Inside(cmd.Run); err != nil {
		return out.String(), fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(said.String()))
	}
	return out.String(), nil
}

// Wait calls try every interval until it is nil or the bound is over.
func Wait(ctx context.Context, bound, interval time.Duration, what string, try func() error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, bound, fmt.Errorf("not within %v", bound))
	defer cancel()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, errors.Join(context.Cause(ctx), err))
		case <-tick.C:
		}
	}
}
