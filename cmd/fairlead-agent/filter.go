package main

import (
	"context"
	"errors"
	"log/slog"

	"golang.org/x/sync/errgroup"

	"fairlead.dev/controller/plan"
	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/filter"
	"fairlead.dev/dataplane/host"
)

// packetFilter is the node.PacketFilter of this network namespace. On a kernel
// without nf_tables, or without all that the table needs of it, it says so, once,
// and fails nothing.
type packetFilter struct {
	table       *filter.Table // nil where not even the socket can be had
	defaults    *host.Defaults
	log         *slog.Logger
	unsupported bool
}

func newPacketFilter(log *slog.Logger) (*packetFilter, error) {
	f := &packetFilter{defaults: &host.Defaults{}, log: log}
	table, err := filter.Open()
	if err = f.note(err); err == nil {
		f.table = table
	}
	return f, err
}

func (f *packetFilter) close() {
	if f.table != nil {
		_ = f.table.Close()
	}
}

// note keeps what the kernel cannot do from being an error of each sync.
func (f *packetFilter) note(err error) error {
	missing := errors.Is(err, filter.ErrUnsupported)
	if missing && !f.unsupported {
		f.log.Error("no packet filter: nothing is translated, and what pods send is checked by rp_filter alone", "err", err)
	}
	f.unsupported = missing
	if missing {
		return nil
	}
	return err
}

func (f *packetFilter) Look() (plan.NAT, error) {
	var held dataplane.Filter
	var heldErr error
	if f.table != nil {
		held, heldErr = f.table.List()
	}
	if errors.Is(heldErr, filter.ErrUnsupported) {
		heldErr = nil // Apply says so
	}
	ipv4, ipv6, err := f.defaults.Links()
	return plan.NAT{Held: held, Default4: ipv4, Default6: ipv6, Unsupported: f.unsupported}, errors.Join(heldErr, err)
}

func (f *packetFilter) Apply(want dataplane.Filter) error {
	if f.table == nil {
		return nil
	}
	return f.note(f.table.Apply(want))
}

// watch wakes when someone else has changed the table, or a default route.
func (f *packetFilter) watch(ctx context.Context, g *errgroup.Group, wake func()) {
	start := func(what string, watch func(context.Context) (<-chan struct{}, error)) {
		g.Go(func() error {
			changes, err := watch(ctx)
			if err != nil {
				return err
			}
			return wakeOn(ctx, what, changes, wake)
		})
	}
	start("the default routes", f.defaults.Watch)
	if f.table != nil {
		start("our nft table", f.table.Watch)
	}
}
