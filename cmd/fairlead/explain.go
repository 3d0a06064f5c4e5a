package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"fairlead.dev/controller/view"
)

// explanation is what is known of one address. What nobody told is nil.
type explanation struct {
	Address netip.Addr `json:"address"`
	Pool    *poolRow   `json:"pool,omitempty"`
	Block   *blockRow  `json:"block,omitempty"`
	// Node holds the block.
	Node *hostRow `json:"node,omitempty"`
	// Route is the longest match on the node whose agent was asked.
	Route    *view.Route `json:"route,omitempty"`
	Problems []problem   `json:"problems"`
}

func newExplain(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "explain ADDRESS",
		Short: "Show which pool, block and node an address is of, how a node sends to it (--socket), and what is not well there",
		Long: `Show which pool, block and node an address is of, how a node sends to it
(--socket), and what is not well there.

Exits with 1 when something is not well, or when no node has the address's block.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			address, err := netip.ParseAddr(args[0])
			if err != nil {
				return fmt.Errorf("%q is not an address such as 10.244.0.7 or fd00::7", args[0])
			}
			f, err := o.load(cmd.Context())
			if err != nil {
				return err
			}
			e := explain(f, address.Unmap().WithZone(""))
			if err := o.print(cmd.OutOrStdout(), e, func() []table { return e.tables(f) }); err != nil {
				return err
			}
			if !e.well(f) {
				return errNotWell
			}
			return nil
		},
	}
}

func explain(f facts, address netip.Addr) explanation {
	e := explanation{Address: address, Problems: []problem{}}
	holds := func(cidr string) bool {
		p, err := netip.ParsePrefix(cidr)
		return err == nil && p.Contains(address)
	}
	about := map[string]bool{}
	s := summarize(f)
	if i := slices.IndexFunc(s.Pools, func(p poolRow) bool { return holds(p.CIDR) }); i >= 0 {
		e.Pool = &s.Pools[i]
		about["IPPool/"+e.Pool.Name] = true
	}
	blocks := blockRows(f)
	if i := slices.IndexFunc(blocks, func(b blockRow) bool { return holds(b.CIDR) }); i >= 0 {
		e.Block = &blocks[i]
		about["Node/"+e.Block.Node], about["NodeState/"+e.Block.Node] = true, true
		hosts := hostRows(f)
		if i := slices.IndexFunc(hosts, func(h hostRow) bool { return h.Name == e.Block.Node }); i >= 0 {
			e.Node = &hosts[i]
		}
	}
	for i, r := range f.routes {
		if r.Prefix.Contains(address) && (e.Route == nil || r.Prefix.Bits() > e.Route.Prefix.Bits()) {
			e.Route = &f.routes[i]
		}
	}
	for _, p := range s.Problems {
		if about[p.Object] {
			e.Problems = append(e.Problems, p)
		}
	}
	return e
}

// well says that nothing is known that keeps packets from the address. An agent
// knows its own blocks and its routes, and no pools or blocks of others.
func (e explanation) well(f facts) bool {
	found := e.Block != nil || !f.leases && e.Route != nil
	return found && len(e.Problems) == 0 && (e.Route == nil || e.Route.Installed)
}

func (e explanation) tables(f facts) []table {
	t := table{header: []string{"WHAT", "WHICH", "STATE"}}
	row := func(what, which string, state ...string) {
		t.rows = append(t.rows, []string{what, which, strings.Join(slices.DeleteFunc(state, func(s string) bool { return s == "" }), ", ")})
	}
	switch {
	case e.Pool != nil:
		row("pool", e.Pool.Name, e.Pool.CIDR, e.Pool.State, "encapsulation "+e.Pool.Encapsulation, "NAT "+yesNo(e.Pool.NATOutgoing))
	case f.leases:
		row("pool", none, "no pool has "+e.Address.String()+": Fairlead neither routes nor announces it")
	}
	switch {
	case e.Block != nil:
		row("block", e.Block.CIDR, e.Block.facts()...)
	case e.Pool != nil:
		row("block", none, "leased to no node")
	}
	if e.Node != nil {
		row("node", e.Node.Name, strings.Join(e.Node.Addresses, ","), e.Node.vxlan(), e.Node.Note)
	}
	switch r := e.Route; {
	case r != nil:
		state := "installed"
		switch {
		case !r.Installed:
			state = "not installed: " + r.Problem
		case r.Origin == "block":
			state = "for addresses that no pod has; pods have routes of their own"
		}
		row("route of "+f.nodes[0].name, r.Prefix.String(), r.Path, addresses(r.NextHops), r.Node, state)
	case !f.leases:
		row("route of "+f.nodes[0].name, none, "none of Fairlead's")
	default:
		row("route", unknown, "known to each node's agent: ask it with --socket")
	}
	if len(e.Problems) == 0 {
		return []table{t}
	}
	return []table{t, problemTable(e.Problems, f.at)}
}

func (r blockRow) facts() []string {
	out := []string{"of " + r.Node}
	if r.State != "" {
		out[0] = r.State + " to " + r.Node
	}
	if r.Used != nil {
		out = append(out, ratio(*r.Used, *r.Capacity)+" used", "programmed "+yesNo(*r.Programmed), "advertised "+yesNo(*r.Advertised))
	}
	return append(out, r.Note)
}
