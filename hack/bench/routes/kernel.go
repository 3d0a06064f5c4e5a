package routes

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/nstest"
	"fairlead.dev/dataplane/route"
	"fairlead.dev/hack/bench/rig"
)

// router is the next hop of all routes.
const router = "192.0.2.254"

// kernel is a namespace in which routes are made in both ways.
type kernel struct {
	ns      nstest.NS
	release func()
	table   *route.Table
	file    string // for ip -batch
}

func newKernel(ctx context.Context, dir string) (*kernel, error) {
	ns, release, err := rig.Namespace(ctx, "routes")
	if err != nil {
		return nil, err
	}
	k := &kernel{ns: ns, release: release, file: filepath.Join(dir, "routes.batch")}
	for _, argv := range [][]string{
		{"ip", "link", "add", "uplink", "type", "veth", "peer", "name", "tor"},
		{"ip", "address", "add", "192.0.2.1/24", "dev", "uplink"},
		{"ip", "link", "set", "tor", "up"},
		{"ip", "link", "set", "uplink", "up"},
	} {
		if _, err := rig.Run(ctx, ns, argv...); err != nil {
			release()
			return nil, err
		}
	}
	if err := ns.Inside(func() (err error) { k.table, err = route.Open(); return err }); err != nil {
		release()
		return nil, err
	}
	return k, nil
}

func (k *kernel) close() {
	_ = k.table.Close() // of a namespace that goes now
	k.release()
}

// apply has our table make the routes, or find that they are there.
func (k *kernel) apply(routes []dataplane.Route) (time.Duration, error) {
	start := time.Now()
	result, err := k.table.Apply(routes, true)
	took := time.Since(start)
	if err == nil && len(result.Failed) != 0 {
		err = fmt.Errorf("apply: %d of %d routes are not installed", len(result.Failed), len(routes))
	}
	return took, err
}

// writeBatch writes the routes as iproute2 reads them, in every detail ours.
func (k *kernel) writeBatch(verb string, routes []dataplane.Route) error {
	var b bytes.Buffer
	for _, r := range routes {
		fmt.Fprintf(&b, "route %s %s via %s proto %d metric %d\n", verb, r.Prefix, r.NextHops[0], dataplane.ProtocolRoute, dataplane.Metric)
	}
	if err := os.WriteFile(k.file, b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write batch: %w", err)
	}
	return nil
}

// batch has iproute2 make the routes.
func (k *kernel) batch(ctx context.Context, count int) (time.Duration, error) {
	start := time.Now()
	if _, err := rig.Run(ctx, k.ns, "ip", "-batch", k.file); err != nil {
		return 0, err
	}
	return time.Since(start), k.holds(peerBatch, count)
}

// holds is nil if the kernel has so many of our routes.
func (k *kernel) holds(who string, count int) error {
	have, err := k.table.List()
	if err == nil && len(have) != count {
		err = fmt.Errorf("%s: %d of %d routes are installed", who, len(have), count)
	}
	return err
}

// show has iproute2 list the routes.
func (k *kernel) show(ctx context.Context, count int) (time.Duration, error) {
	start := time.Now()
	out, err := rig.Run(ctx, k.ns, "ip", "route", "show", "proto", fmt.Sprint(dataplane.ProtocolRoute))
	took := time.Since(start)
	if lines := strings.Count(out, "\n"); err == nil && lines != count {
		err = fmt.Errorf("ip route show: %d of %d routes are shown", lines, count)
	}
	return took, err
}

// clean takes all routes away, whoever made them.
func (k *kernel) clean() error { return k.table.Clean() }
