package main

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/spf13/cobra"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/bgp"
)

// blockRow is one block: how it is leased, and what its node makes of it.
type blockRow struct {
	CIDR string `json:"cidr"`
	Node string `json:"node"`
	// Pool and State are the lease's; "" if only the node tells of the block.
	Pool  string `json:"pool,omitempty"`
	State string `json:"state,omitempty"`
	// The node's part; nil if the node does not tell of the block.
	Used       *int64 `json:"used,omitempty"`
	Capacity   *int64 `json:"capacity,omitempty"`
	Programmed *bool  `json:"programmed,omitempty"`
	Advertised *bool  `json:"advertised,omitempty"`
	// IPAMOnly blocks are for fairlead-ipam: neither routed nor announced.
	IPAMOnly bool `json:"ipamOnly,omitempty"`
	// Adopted blocks are podCIDRs, and Foreign counts the addresses that another network
	// of the node uses.
	Adopted bool  `json:"adopted,omitempty"`
	Foreign int64 `json:"foreign,omitempty"`
	// Closed blocks give out no address.
	Closed bool `json:"closed,omitempty"`
	// Note says why this is not the present state, "" if it is.
	Note string `json:"note,omitempty"`
}

func newBlocks(o *options) *cobra.Command {
	return addNodeFlag(&cobra.Command{
		Use:   "blocks",
		Short: "Show the blocks leased to every node, their use, and who asks for more",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := o.load(cmd.Context())
			if err != nil {
				return err
			}
			rows := only(blockRows(f), o.node, func(r blockRow) string { return r.Node })
			return o.print(cmd.OutOrStdout(), rows, func() []table { return append([]table{blockTable(rows)}, askedTable(f, o.node)...) })
		},
	}, o)
}

// blockRows joins leases and reports by the block's UID, sorted by node and address.
func blockRows(f facts) []blockRow {
	type key struct{ node, uid string }
	reported := map[key]v1alpha1.BlockStatus{}
	notes := map[string]string{}
	for _, n := range f.nodes {
		notes[n.name] = n.note
		if n.report == nil {
			continue
		}
		for _, b := range n.report.Blocks {
			reported[key{n.name, b.UID}] = b
		}
	}
	rows := []blockRow{}
	for _, l := range f.blocks {
		r := blockRow{
			CIDR: l.Spec.CIDR, Node: l.Spec.NodeName, Pool: l.Spec.PoolName,
			State: string(l.Spec.State), IPAMOnly: l.Spec.IPAMOnly, Adopted: l.Spec.Adopted, Note: notes[l.Spec.NodeName],
		}
		k := key{l.Spec.NodeName, string(l.UID)}
		if b, ok := reported[k]; ok {
			r.report(b)
			delete(reported, k)
		}
		rows = append(rows, r)
	}
	for k, b := range reported {
		r := blockRow{CIDR: b.CIDR, Node: k.node, Note: notes[k.node]}
		if f.leases {
			r.Note = joinNotes(r.Note, "no IPBlock of this UID")
		}
		r.report(b)
		rows = append(rows, r)
	}
	slices.SortFunc(rows, compareBlocks)
	return rows
}

func (r *blockRow) report(b v1alpha1.BlockStatus) {
	r.Used, r.Capacity = &b.Used, &b.Capacity
	r.Programmed, r.Advertised = &b.Programmed, &b.Advertised
	r.Foreign = b.Foreign
	r.IPAMOnly, r.Closed = r.IPAMOnly || b.IPAMOnly, b.Closed
}

func compareBlocks(a, b blockRow) int {
	return cmp.Or(cmp.Compare(a.Node, b.Node), comparePrefixes(a.CIDR, b.CIDR))
}

// comparePrefixes orders by address; what is no prefix goes first, by its text.
func comparePrefixes(a, b string) int {
	p, errA := netip.ParsePrefix(a)
	q, errB := netip.ParsePrefix(b)
	if errA != nil || errB != nil {
		return cmp.Compare(a, b)
	}
	return bgp.ComparePrefix(p, q)
}

func blockTable(rows []blockRow) table {
	t := table{
		header: []string{"NODE", "BLOCK", "POOL", "STATE", "USED", "PROGRAMMED", "ADVERTISED", "NOTE"},
		empty:  "No blocks.",
	}
	for _, r := range rows {
		used, programmed, advertised := unknown, unknown, unknown
		if r.Used != nil {
			used = ratio(*r.Used, *r.Capacity)
			programmed, advertised = yesNo(*r.Programmed), yesNo(*r.Advertised)
		}
		note := r.Note
		if r.IPAMOnly {
			note = joinNotes(note, "for fairlead-ipam only")
		}
		if r.Foreign > 0 {
			note = joinNotes(note, fmt.Sprintf("%d addresses are another network's", r.Foreign))
		}
		switch closed := r.Closed && r.State == string(v1alpha1.BlockLeased); {
		case closed && r.Adopted:
			note = joinNotes(note, "moves in")
		case closed:
			note = joinNotes(note, "is given back")
		}
		t.rows = append(t.rows, []string{r.Node, r.CIDR, r.Pool, r.State, used, programmed, advertised, note})
	}
	return t
}
