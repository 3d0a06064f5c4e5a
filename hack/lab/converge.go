package lab

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/hack/lab/topology"
)

// Bounds of waiting for routers, with two busy cores in mind.
const (
	fabricBound   = 45 * time.Second
	convergeBound = 60 * time.Second
	pollInterval  = 150 * time.Millisecond
)

// WaitConverged waits until each ToR has an established session of each family
// with each node of its rack, every router holds every leased block, and every
// node has a CNI configuration. With NetworkOnly that is the fabric alone.
func (l *Lab) WaitConverged(ctx context.Context) error {
	if l.opts.NetworkOnly {
		return l.WaitFabric(ctx)
	}
	return poll(ctx, convergeBound, pollInterval, "blocks of all nodes on all routers", func(ctx context.Context) error {
		if err := l.checkRoutes(ctx); err != nil {
			return err
		}
		for _, n := range l.Nodes() {
			if err := n.hasNetwork(); err != nil {
				return err
			}
		}
		return nil
	})
}

// WaitRoutes is WaitConverged less the CNI configuration, which real machines
// keep to themselves.
func (l *Lab) WaitRoutes(ctx context.Context) error {
	return poll(ctx, convergeBound, pollInterval, "blocks of all nodes on all routers", l.checkRoutes)
}

func (l *Lab) checkRoutes(ctx context.Context) error {
	if err := l.processes.dead(); err != nil {
		return permanent{err}
	}
	if err := l.checkNodeSessions(ctx); err != nil {
		return err
	}
	return l.checkBlocks(ctx)
}

func (l *Lab) checkNodeSessions(ctx context.Context) error {
	for _, rack := range l.Topology().Racks {
		for _, tor := range rack.ToRs {
			if err := l.Router(tor.Name).hasNodes(ctx, rack); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Router) hasNodes(ctx context.Context, rack topology.Rack) error {
	sessions, err := r.Sessions(ctx)
	if err != nil {
		return err
	}
	for _, n := range rack.Nodes {
		for _, f := range r.lab.Topology().Families() {
			state := "none"
			for _, s := range sessions {
				if s.Neighbour == rack.NodeAddress(f, n) {
					state = s.State
				}
			}
			if state != Established {
				return fmt.Errorf("%s: %s session with %s is %s", r.Name, f, n.Name, state)
			}
		}
	}
	return nil
}

// checkBlocks finds a node without its block of a pool, a router without a node's
// block, or a node whose kernel does not reach one as it should.
func (l *Lab) checkBlocks(ctx context.Context) error {
	leased, err := l.Blocks(ctx)
	if err != nil {
		return err
	}
	blocks := map[topology.Family]map[netip.Prefix]string{topology.V4: {}, topology.V6: {}}
	for _, n := range l.Nodes() {
		for _, pool := range l.Topology().Pools {
			block, ok := leased[Holder{Node: n.Name, Pool: pool.Name}]
			if !ok {
				return fmt.Errorf("node %s has no block of pool %s", n.Name, pool.Name)
			}
			blocks[topology.FamilyOf(block.Addr())][block] = n.Name
		}
	}
	for _, f := range l.Topology().Families() {
		want := slices.Collect(maps.Keys(blocks[f]))
		if err := each(ctx, l.Routers(), func(ctx context.Context, r *Router) error { return r.holds(ctx, f, want) }); err != nil {
			return err
		}
		if err := each(ctx, l.Nodes(), func(ctx context.Context, n *Node) error { return n.reaches(ctx, f, blocks[f]) }); err != nil {
			return err
		}
	}
	return nil
}

// Holder is who leases a block from which pool.
type Holder struct{ Node, Pool string }

// Blocks are the first leased block of each node from each pool, from the API.
func (l *Lab) Blocks(ctx context.Context) (map[Holder]netip.Prefix, error) {
	var list v1alpha1.IPBlockList
	if err := l.cluster.client.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("list blocks: %w", err)
	}
	blocks := map[Holder]netip.Prefix{}
	for _, b := range list.Items {
		p, err := netip.ParsePrefix(b.Spec.CIDR)
		if err != nil {
			return nil, fmt.Errorf("block %s: %w", b.Name, err)
		}
		h := Holder{Node: b.Spec.NodeName, Pool: b.Spec.PoolName}
		if _, known := blocks[h]; !known && b.Spec.State == v1alpha1.BlockLeased {
			blocks[h] = p
		}
	}
	return blocks, nil
}

func (r *Router) holds(ctx context.Context, f topology.Family, want []netip.Prefix) error {
	routes, err := r.Routes(ctx, f)
	if err != nil {
		return err
	}
	for _, p := range want {
		if !slices.ContainsFunc(routes, func(route RIBRoute) bool { return route.Prefix == p }) {
			return fmt.Errorf("%s does not hold %s", r.Name, p)
		}
	}
	return nil
}

// reaches compares the node's kernel routes with the blocks, by holder.
func (n *Node) reaches(ctx context.Context, f topology.Family, blocks map[netip.Prefix]string) error {
	routes, err := n.lab.KernelRoutes(ctx, n.Name, f)
	if err != nil {
		return err
	}
	for block, holder := range blocks {
		i := slices.IndexFunc(routes, func(k KernelRoute) bool { return k.Prefix == block && k.Protocol == AgentProtocol() })
		if i < 0 {
			return fmt.Errorf("the kernel of %s has no route to %s by protocol %s", n.Name, block, AgentProtocol())
		}
		want, err := ExpectedNextHops(n.lab.Topology(), n.Name, holder, f)
		if err != nil {
			return err
		}
		if !slices.Equal(routes[i].NextHops, want) {
			return fmt.Errorf("the kernel of %s reaches %s by %v, want %v", n.Name, block, routes[i].NextHops, want)
		}
	}
	return nil
}

// ExpectedNextHops are those of a node's kernel route to another's block once all
// sessions are up: none for its own, the holder itself in the same rack, and
// every ToR of the node's rack otherwise.
func ExpectedNextHops(topo topology.Topology, node, holder string, f topology.Family) ([]netip.Addr, error) {
	rack, _, err := topo.Node(node)
	if err != nil {
		return nil, err
	}
	other, h, err := topo.Node(holder)
	switch {
	case err != nil:
		return nil, err
	case node == holder:
		return nil, nil
	case other.Name == rack.Name:
		return []netip.Addr{rack.NodeAddress(f, h)}, nil
	}
	var hops []netip.Addr
	for i := range rack.ToRs {
		hops = append(hops, rack.ToRAddress(f, i))
	}
	return hops, nil
}

// AddressesUsed is how many addresses a node says that its pods use.
func (l *Lab) AddressesUsed(ctx context.Context, node string) (int64, error) {
	var s v1alpha1.NodeState
	if err := l.cluster.client.Get(ctx, client.ObjectKey{Name: node}, &s); err != nil {
		return 0, fmt.Errorf("state of node %s: %w", node, err)
	}
	return s.Status.AddressesUsed, nil
}

// WaitAddressesUsed waits until a node says that its pods use that many addresses.
func (l *Lab) WaitAddressesUsed(ctx context.Context, node string, want int64, bound time.Duration) error {
	return poll(ctx, bound, pollInterval, "addresses used on "+node, func(ctx context.Context) error {
		used, err := l.AddressesUsed(ctx, node)
		if err == nil && used != want {
			err = fmt.Errorf("%d, want %d", used, want)
		}
		return err
	})
}
