package demo

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/topology"
)

// leases shows what the controller made of nodes and pools.
func (d *demo) leases(ctx context.Context) error {
	if err := d.kubectl(ctx, "get", "nodes", "-L", lab.RackLabel); err != nil {
		return err
	}
	for _, kind := range []string{"ippools", "ipblocks"} {
		if err := d.kubectl(ctx, "get", kind); err != nil {
			return err
		}
	}
	blocks, err := d.lab.Blocks(ctx)
	if err != nil {
		return err
	}
	topo := d.lab.Topology()
	if want := len(topo.Nodes()) * len(topo.Pools); len(blocks) < want {
		return fmt.Errorf("%d blocks are leased, want %d", len(blocks), want)
	}
	d.ok("each of %d nodes holds a block of each of %d pools", len(topo.Nodes()), len(topo.Pools))
	return nil
}

// sessions shows one router of each daemon and counts all.
func (d *demo) sessions(ctx context.Context) error {
	out, err := d.lab.Router("r1-tor1").Vtysh(ctx, "show bgp ipv4 unicast summary")
	if err != nil {
		return err
	}
	d.show("r1-tor1, FRR", `vtysh -c "show bgp ipv4 unicast summary"`, fromLine(out, "Neighbor "))
	out, err = d.lab.Router("r1-tor2").Birdc(ctx, "show protocols")
	if err != nil {
		return err
	}
	d.show("r1-tor2, BIRD", "birdc show protocols | grep BGP", grep(out, " BGP "))
	total := 0
	for _, r := range d.lab.Routers() {
		sessions, err := r.Sessions(ctx)
		if err != nil {
			return err
		}
		for _, s := range sessions {
			if s.State != lab.Established {
				return fmt.Errorf("%s: session with %s is %s", r.Name, s.Neighbour, s.State)
			}
			total++
		}
	}
	d.ok("all %d ends of sessions on the %d routers are established, IPv4 and IPv6 apart", total, len(d.lab.Routers()))
	return nil
}

// ribs shows a ToR of each daemon, a family each.
func (d *demo) ribs(ctx context.Context) error {
	out, err := d.lab.Router("r1-tor1").Vtysh(ctx, "show bgp ipv4 unicast")
	if err != nil {
		return err
	}
	d.show("r1-tor1, FRR", `vtysh -c "show bgp ipv4 unicast"`, fromLine(out, "Network "))
	out, err = d.lab.Router("r2-tor2").Birdc(ctx, "show route table master6 where source = RTS_BGP primary")
	if err != nil {
		return err
	}
	d.show("r2-tor2, BIRD", "birdc show route table master6 where source = RTS_BGP primary", fromLine(out, "Table "))
	if err := d.checkNextHops(ctx); err != nil {
		return err
	}
	d.ok("a rack's own blocks are straight behind their nodes, the other rack's behind the spines")
	return nil
}

// checkNextHops holds the sentence above: the first rack's ToRs reach n1's block
// by n1 itself, and the second's by both spines.
func (d *demo) checkNextHops(ctx context.Context) error {
	blocks, err := d.lab.Blocks(ctx)
	if err != nil {
		return err
	}
	for _, pool := range d.lab.Topology().Pools {
		block := blocks[lab.Holder{Node: "n1", Pool: pool.Name}]
		own := d.lab.Node("n1").Address(topology.FamilyOf(block.Addr()))
		for _, tor := range []string{"r1-tor1", "r1-tor2"} {
			route, err := d.lab.Router(tor).Route(ctx, block)
			if err != nil {
				return err
			}
			if hops := route.NextHops(); len(hops) != 1 || hops[0] != own {
				return fmt.Errorf("%s reaches %s by %v, want %s", tor, block, hops, own)
			}
		}
		for _, tor := range []string{"r2-tor1", "r2-tor2"} {
			route, err := d.lab.Router(tor).Route(ctx, block)
			if err != nil {
				return err
			}
			if hops := route.NextHops(); len(hops) != len(d.lab.Topology().Spines) {
				return fmt.Errorf("%s reaches %s by %v, want every spine", tor, block, hops)
			}
		}
	}
	return nil
}

// kernel shows a node's routes of both families.
func (d *demo) kernel(ctx context.Context) error {
	for _, family := range []string{"-4", "-6"} {
		if err := d.on(ctx, "n1", "ip", family, "route", "show", "proto", lab.AgentProtocol()); err != nil {
			return err
		}
	}
	if err := d.checkKernel(ctx); err != nil {
		return err
	}
	d.ok("own block blackholed, the rack's other node straight, the other rack by both ToRs (ECMP)")
	return nil
}

func (d *demo) checkKernel(ctx context.Context) error {
	blocks, err := d.lab.Blocks(ctx)
	if err != nil {
		return err
	}
	for holder, block := range blocks {
		f := topology.FamilyOf(block.Addr())
		want, err := lab.ExpectedNextHops(d.lab.Topology(), "n1", holder.Node, f)
		if err != nil {
			return err
		}
		routes, err := d.lab.KernelRoutes(ctx, "n1", f)
		if err != nil {
			return err
		}
		for _, r := range routes {
			if r.Prefix == block && !slices.Equal(r.NextHops, want) {
				return fmt.Errorf("n1 reaches %s of %s by %v, want %v", block, holder.Node, r.NextHops, want)
			}
		}
	}
	return nil
}

// fromLine is the text from the first line that holds mark on, up to an empty line.
func fromLine(text, mark string) string {
	i := strings.Index(text, mark)
	if i < 0 {
		return text
	}
	i = strings.LastIndex(text[:i], "\n") + 1
	text, _, _ = strings.Cut(strings.ReplaceAll(text[i:], "\r", ""), "\n\n")
	return text
}

func grep(text, mark string) string {
	var kept []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, mark) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}
