package main

import (
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"fairlead.dev/bgp"
)

// peerRow is one BGP session of one node.
type peerRow struct {
	Node       string     `json:"node"`
	Peer       string     `json:"peer"`
	Address    string     `json:"address"`
	ASNumber   int64      `json:"asNumber"`
	State      string     `json:"state"`
	Since      *time.Time `json:"since,omitempty"`
	Received   int64      `json:"received"`
	Accepted   int64      `json:"accepted"`
	Advertised int64      `json:"advertised"`
	LastError  string     `json:"lastError,omitempty"`
	// Note says why this is not the present state, "" if it is.
	Note string `json:"note,omitempty"`
}

func newPeers(o *options) *cobra.Command {
	return addNodeFlag(&cobra.Command{
		Use:   "peers",
		Short: "Show the BGP sessions of every node",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := o.load(cmd.Context())
			if err != nil {
				return err
			}
			rows := only(peerRows(f), o.node, func(r peerRow) string { return r.Node })
			return o.print(cmd.OutOrStdout(), rows, func() []table { return []table{peerTable(rows, f.at)} })
		},
	}, o)
}

func peerRows(f facts) []peerRow {
	rows := []peerRow{}
	for _, n := range f.nodes {
		if n.report == nil {
			continue
		}
		for _, s := range n.report.Sessions {
			r := peerRow{
				Node: n.name, Peer: s.Peer, Address: s.Address, ASNumber: s.ASNumber, State: s.State,
				Received: s.Received, Accepted: s.Accepted, Advertised: s.Advertised,
				LastError: s.LastError, Note: n.note,
			}
			if s.Since != nil {
				r.Since = &s.Since.Time
			}
			rows = append(rows, r)
		}
	}
	return rows
}

func peerTable(rows []peerRow, now time.Time) table {
	t := table{
		header: []string{"NODE", "PEER", "ADDRESS", "ASN", "STATE", "UP", "RECEIVED", "ACCEPTED", "ADVERTISED", "NOTE"},
		empty:  "No sessions.",
	}
	for _, r := range rows {
		up := none
		if r.State == bgp.Established && r.Since != nil {
			up = ago(now, *r.Since)
		}
		t.rows = append(t.rows, []string{
			r.Node, r.Peer, r.Address, strconv.FormatInt(r.ASNumber, 10), r.State, up,
			strconv.FormatInt(r.Received, 10), strconv.FormatInt(r.Accepted, 10), strconv.FormatInt(r.Advertised, 10),
			joinNotes(r.Note, r.LastError),
		})
	}
	return t
}

// joinNotes puts the doubt about a row before what the row says.
func joinNotes(note, text string) string {
	if note != "" && text != "" {
		return note + "; " + text
	}
	return note + text
}
