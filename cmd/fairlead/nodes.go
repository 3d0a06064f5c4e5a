package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"fairlead.dev/api/v1alpha1"
)

// hostRow is how other nodes reach a node.
type hostRow struct {
	Name string `json:"name"`
	// Addresses are those that count, Candidates those that the node found by Rule.
	Addresses  []string `json:"addresses"`
	Candidates []string `json:"candidates,omitempty"`
	Rule       string   `json:"rule"`
	// VTEP is absent if other nodes do not send to it by VXLAN.
	VTEP *v1alpha1.VTEP `json:"vtep,omitempty"`
	Note string         `json:"note,omitempty"`
}

func newNodes(o *options) *cobra.Command {
	return addNodeFlag(&cobra.Command{
		Use:   "nodes",
		Short: "Show the addresses by which every node is reached, where they are from, and its VXLAN endpoint",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := o.load(cmd.Context())
			if err != nil {
				return err
			}
			rows := only(hostRows(f), o.node, func(r hostRow) string { return r.Name })
			return o.print(cmd.OutOrStdout(), rows, func() []table { return []table{hostTable(rows)} })
		},
	}, o)
}

func hostRows(f facts) []hostRow {
	rows := []hostRow{}
	for _, n := range f.nodes {
		r := hostRow{Name: n.name, Addresses: append([]string{}, n.addresses...), Rule: ruleText(n.rule), VTEP: n.vtep, Note: n.note}
		if n.report != nil {
			r.Candidates = n.report.CandidateAddresses
			r.Note = joinNotes(r.Note, pending(n))
		}
		rows = append(rows, r)
	}
	return rows
}

// vxlan is empty where other nodes do not send to it so.
func (r hostRow) vxlan() string {
	if r.VTEP == nil {
		return ""
	}
	return fmt.Sprintf("VNI %d, UDP %d", r.VTEP.VNI, r.VTEP.Port)
}

// pending says what the node has, and the controller has not told the others.
func pending(n node) string {
	var note string
	if found := slices.DeleteFunc(slices.Clone(n.report.CandidateAddresses), func(a string) bool {
		return slices.Contains(n.addresses, a)
	}); len(found) > 0 {
		note = fmt.Sprintf("found %s: not accepted", strings.Join(found, ","))
	}
	if n.vtep == nil && n.report.VTEP != nil {
		note = joinNotes(note, "its VXLAN device is up, and no node was told yet")
	}
	return note
}

// ruleText is a rule in one cell. allowedCIDRs say what is accepted, not where
// the address is from.
func ruleText(r *v1alpha1.NodeAddress) string {
	if r == nil || r.Source == "" {
		return string(v1alpha1.NodeAddressInternalIP)
	}
	return strings.TrimSpace(string(r.Source) + " " + strings.Join(slices.Concat(r.Interfaces, r.CIDRs, r.CanReach), ","))
}

func hostTable(rows []hostRow) table {
	t := table{header: []string{"NODE", "ADDRESSES", "FOUND BY", "VXLAN", "NOTE"}, empty: "No nodes."}
	for _, r := range rows {
		t.rows = append(t.rows, []string{r.Name, strings.Join(r.Addresses, ","), r.Rule, r.vxlan(), r.Note})
	}
	return t
}
