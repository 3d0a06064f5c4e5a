package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/host"
	"fairlead.dev/dataplane/link"
)

// links is the node.Links of this network namespace.
type links struct {
	*link.Node
	// sysctls is the folder of all sysctls, kept the file with those from before.
	sysctls, kept string
}

// Prepare also sees to the links of pods: systemd-udevd has settings of its own for
// every new link.
func (l links) Prepare() error {
	return errors.Join(host.Prepare(l.sysctls, l.kept), l.Mend(l.sysctls))
}

func (links) Addresses() ([]netip.Prefix, error) { return host.Addresses() }

func (links) Candidates(r dataplane.AddressRule) ([]netip.Addr, error) { return host.Candidates(r) }

// wakeOn wakes at each value of changes until ctx ends. That what gives the
// changes ends before is an error: the agent would be deaf from then on.
func wakeOn(ctx context.Context, what string, changes <-chan struct{}, wake func()) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-changes:
			if ctx.Err() != nil {
				return nil
			}
			if !ok {
				return fmt.Errorf("watch %s: the watch has ended", what)
			}
			wake()
		}
	}
}
