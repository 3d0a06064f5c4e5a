package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/topology"
)

// pingCount is how many packets each cell of the matrix sends.
const pingCount = 3

// waitBound is how long a change may take to be seen everywhere.
const waitBound = 30 * time.Second

// matrix starts pods so that every kind of pair is there: a1 and a2 on one node,
// b in the same rack, c and d in the other. Then every pod pings every other.
func (d *demo) matrix(ctx context.Context) error {
	for _, p := range []struct{ name, node string }{{"a1", "n1"}, {"a2", "n1"}, {"b", "n2"}, {"c", "n3"}, {"d", "n4"}} {
		pod, err := d.lab.AddPod(ctx, p.node, p.name)
		if err != nil {
			return err
		}
		d.pods = append(d.pods, pod)
	}
	w := tabwriter.NewWriter(d.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "  POD\tNODE\tIPV4\tIPV6")
	for _, p := range d.pods {
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", p.Name, p.Node, p.Address(topology.V4), p.Address(topology.V6))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "Lost of %d packets, from the row's pod to the column's, IPv4/IPv6:\n", pingCount)
	lost, err := d.pingAll(ctx)
	if err != nil {
		return err
	}
	total := 0
	fmt.Fprint(w, "  ")
	for _, p := range d.pods {
		fmt.Fprintf(w, "\t%s", p.Name)
	}
	fmt.Fprintln(w)
	for i, from := range d.pods {
		fmt.Fprintf(w, "  %s", from.Name)
		for j := range d.pods {
			cell := "-"
			if i != j {
				cell = fmt.Sprintf("%d/%d", lost[i][j][0], lost[i][j][1])
				total += lost[i][j][0] + lost[i][j][1]
			}
			fmt.Fprintf(w, "\t%s", cell)
		}
		fmt.Fprintln(w)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if total != 0 {
		return fmt.Errorf("%d packets were lost", total)
	}
	d.ok("no packet lost on the same node, in the same rack and across racks")
	return nil
}

// pingAll pings from each pod at once, one target after the other.
func (d *demo) pingAll(ctx context.Context) ([][][2]int, error) {
	lost := make([][][2]int, len(d.pods))
	g, ctx := errgroup.WithContext(ctx)
	for i, from := range d.pods {
		lost[i] = make([][2]int, len(d.pods))
		g.Go(func() error {
			for j, to := range d.pods {
				for k, f := range []topology.Family{topology.V4, topology.V6} {
					if i == j {
						continue
					}
					loss, err := d.lab.Ping(ctx, from.Role(), to.Address(f), pingCount)
					if err != nil {
						return err
					}
					lost[i][j][k] = loss.Lost()
				}
			}
			return nil
		})
	}
	return lost, g.Wait()
}

// path follows a packet of each family from a pod in the first rack to one in the second.
func (d *demo) path(ctx context.Context) error {
	from, to := d.pods[0], d.pods[len(d.pods)-1]
	for _, f := range []topology.Family{topology.V4, topology.V6} {
		hops, err := d.lab.Path(ctx, from.Role(), to.Address(f))
		if err != nil {
			return err
		}
		fmt.Fprintf(d.out, "  %s (%s)", from.Role(), from.Address(f))
		for _, h := range hops {
			if !h.Address.IsValid() {
				fmt.Fprint(d.out, " -> *")
				continue
			}
			fmt.Fprintf(d.out, " -> %s (%s)", h.Role, h.Address)
		}
		fmt.Fprintln(d.out)
		if err := checkPath(hops, to); err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
	}
	d.ok("node, ToR, spine, ToR, node, pod: routed at each hop, no tunnel, no translation")
	return nil
}

// checkPath wants node, ToR, spine, ToR, node and pod, of which each but the pod
// may keep silent.
func checkPath(hops []lab.Hop, to lab.Pod) error {
	want := []string{"n", "r", "s", "r", "n", to.Role()}
	if len(hops) != len(want) {
		return fmt.Errorf("%d hops, want %d", len(hops), len(want))
	}
	for i, h := range hops[:len(hops)-1] {
		if h.Address.IsValid() && !strings.HasPrefix(h.Role, want[i]) {
			return fmt.Errorf("hop %d is %s (%s), want one of %s*", i+1, h.Role, h.Address, want[i])
		}
	}
	if last := hops[len(hops)-1]; last.Role != to.Role() {
		return fmt.Errorf("the last hop is %s (%s), want %s", last.Role, last.Address, to.Role())
	}
	return nil
}

// podEnds deletes a pod and waits until the node and the API say that its
// addresses are free.
func (d *demo) podEnds(ctx context.Context) error {
	pod := d.pods[1]
	var used int64
	for _, p := range d.pods {
		if p.Node == pod.Node {
			used += int64(len(p.Addresses))
		}
	}
	if err := d.lab.WaitAddressesUsed(ctx, pod.Node, used, waitBound); err != nil {
		return err
	}
	if err := d.on(ctx, pod.Node, "ip", "-4", "route", "show", "proto", lab.PluginProtocol()); err != nil {
		return err
	}
	if err := d.lab.DelPod(ctx, pod.Name); err != nil {
		return err
	}
	d.pods = append(d.pods[:1], d.pods[2:]...)
	fmt.Fprintf(d.out, "Pod %s is deleted by CNI DEL.\n", pod.Name)
	if err := d.on(ctx, pod.Node, "ip", "-4", "route", "show", "proto", lab.PluginProtocol()); err != nil {
		return err
	}
	for _, f := range []topology.Family{topology.V4, topology.V6} {
		routes, err := d.lab.KernelRoutes(ctx, pod.Node, f)
		if err != nil {
			return err
		}
		for _, r := range routes {
			if r.Prefix == hostPrefix(pod.Address(f)) {
				return fmt.Errorf("%s still routes %s to %s", pod.Node, r.Prefix, r.Device)
			}
		}
	}
	want := used - int64(len(pod.Addresses))
	if err := d.lab.WaitAddressesUsed(ctx, pod.Node, want, waitBound); err != nil {
		return err
	}
	if err := d.kubectl(ctx, "get", "nodestates"); err != nil {
		return err
	}
	d.ok("%s used %d addresses and now uses %d", pod.Node, used, want)
	return nil
}

// nodeJoins adds a node and a pod on it, and reaches that from the other rack.
func (d *demo) nodeJoins(ctx context.Context) error {
	start := time.Now()
	if _, err := d.lab.AddNode(ctx, "r2", "n5"); err != nil {
		return err
	}
	if err := d.lab.WaitConverged(ctx); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "n5 joined rack r2: leased, programmed, announced, and in every other kernel after %s.\n", seconds(time.Since(start)))
	pod, err := d.lab.AddPod(ctx, "n5", "e")
	if err != nil {
		return err
	}
	if err := d.on(ctx, "n1", "ip", "-4", "route", "get", pod.Address(topology.V4).String()); err != nil {
		return err
	}
	var errs []error
	for _, f := range []topology.Family{topology.V4, topology.V6} {
		loss, err := d.lab.Ping(ctx, d.pods[0].Role(), pod.Address(f), pingCount)
		if err != nil {
			return err
		}
		if loss.Lost() != 0 {
			errs = append(errs, fmt.Errorf("%s from %s to %s: %v", f, d.pods[0].Role(), pod.Role(), loss))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	d.pods = append(d.pods, pod)
	d.ok("%s reaches %s on the new node by IPv4 and IPv6; no router was configured for it", d.pods[0].Role(), pod.Role())
	return nil
}
