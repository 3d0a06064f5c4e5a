package main

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/api/v1alpha1"
)

// summary is what status tells, problems first.
type summary struct {
	Well     bool         `json:"well"`
	Problems []problem    `json:"problems"`
	Pools    []poolRow    `json:"pools,omitempty"`
	Nodes    []nodeRow    `json:"nodes"`
	Peers    []peerSumRow `json:"peers,omitempty"`
	// Notes are what to know beside: all may be well.
	Notes []string `json:"notes,omitempty"`
}

type poolRow struct {
	Name          string `json:"name"`
	CIDR          string `json:"cidr"`
	State         string `json:"state"`
	Encapsulation string `json:"encapsulation"`
	NATOutgoing   bool   `json:"natOutgoing"`
	Ready         string `json:"ready"`
	BlocksLeased  int64  `json:"blocksLeased"`
	BlockCapacity int64  `json:"blockCapacity"`
	AddressesUsed int64  `json:"addressesUsed"`
}

type nodeRow struct {
	Name     string `json:"name"`
	Ready    string `json:"ready"`
	ASNumber int64  `json:"asNumber,omitempty"`
	RouterID string `json:"routerID,omitempty"`
	// Report is absent if the agent never reported.
	Report *nodeCounts `json:"report,omitempty"`
	Note   string      `json:"note,omitempty"`
}

type nodeCounts struct {
	SessionsEstablished int64 `json:"sessionsEstablished"`
	SessionsWanted      int64 `json:"sessionsWanted"`
	RoutesInstalled     int64 `json:"routesInstalled"`
	RoutesWanted        int64 `json:"routesWanted"`
	Blocks              int64 `json:"blocks"`
	BlocksAsked         int64 `json:"blocksAsked"`
	// Of pods.
	AddressesUsed   int64 `json:"addressesUsed"`
	AddressCapacity int64 `json:"addressCapacity"`
}

type peerSumRow struct {
	Name                string `json:"name"`
	Address             string `json:"address"`
	ASNumber            int64  `json:"asNumber"`
	Ready               string `json:"ready"`
	SessionsEstablished int64  `json:"sessionsEstablished"`
	SessionsWanted      int64  `json:"sessionsWanted"`
}

func newStatus(o *options) *cobra.Command {
	var wait time.Duration
	c := &cobra.Command{
		Use:   "status",
		Short: "Show problems first, then pools, nodes and peers",
		Long: `Show problems first, then pools, nodes and peers.

Exits with 0 when all is well, with 1 when something is not, and with 2 when it
could not be found out.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, s, err := o.settled(cmd.Context(), wait)
			if err != nil {
				return err
			}
			if err := o.print(cmd.OutOrStdout(), s, func() []table { return s.tables(f) }); err != nil {
				return err
			}
			if !s.Well {
				return errNotWell
			}
			return nil
		},
	}
	c.Flags().DurationVar(&wait, "wait", 0, "look again for so long, until all is well")
	return c
}

// settled looks until all is well, or as long as wait, and returns what it saw last.
func (o *options) settled(ctx context.Context, wait time.Duration) (facts, summary, error) {
	const pause = time.Second
	for deadline := time.Now().Add(wait); ; {
		f, err := o.load(ctx)
		s := summarize(f)
		if err == nil && s.Well || !time.Now().Add(pause).Before(deadline) {
			return f, s, err
		}
		select {
		case <-ctx.Done():
			return f, s, ctx.Err()
		case <-time.After(pause):
		}
	}
}

func summarize(f facts) summary {
	s := summary{Problems: problems(f), Nodes: []nodeRow{}, Notes: f.notes}
	s.Well = len(s.Problems) == 0
	if s.Well {
		s.Problems = []problem{}
	}
	for _, p := range f.pools {
		s.Pools = append(s.Pools, poolRow{
			Name: p.Name, CIDR: p.Spec.CIDR, State: string(p.Spec.State), Ready: ready(p.Status.Conditions),
			Encapsulation: string(cmp.Or(p.Spec.Encapsulation, v1alpha1.EncapsulationNone)), NATOutgoing: p.Spec.NATOutgoing,
			BlocksLeased: p.Status.BlocksLeased, BlockCapacity: p.Status.BlockCapacity, AddressesUsed: p.Status.AddressesUsed,
		})
	}
	for _, n := range f.nodes {
		s.Nodes = append(s.Nodes, n.row())
	}
	for _, p := range f.bgpPeers {
		s.Peers = append(s.Peers, peerSumRow{
			Name: p.Name, Address: p.Spec.Address, ASNumber: p.Spec.ASNumber, Ready: ready(p.Status.Conditions),
			SessionsEstablished: p.Status.SessionsEstablished, SessionsWanted: p.Status.SessionsWanted,
		})
	}
	return s
}

func (n node) row() nodeRow {
	r := nodeRow{Name: n.name, Ready: string(metav1.ConditionUnknown), ASNumber: n.asn, RouterID: n.routerID, Note: n.note}
	if n.report == nil {
		return r
	}
	c := nodeCounts{
		SessionsEstablished: n.report.SessionsEstablished, SessionsWanted: n.report.SessionsWanted,
		RoutesInstalled: n.report.Routes.Installed, RoutesWanted: n.report.Routes.Wanted,
		Blocks: int64(len(n.report.Blocks)), BlocksAsked: n.asked,
	}
	for _, b := range n.report.Blocks {
		if !b.IPAMOnly { // else they are no pod's
			c.AddressesUsed += b.Used
			c.AddressCapacity += min(b.Capacity, mostCapacity)
		}
	}
	r.Report = &c
	if n.note == "" {
		r.Ready = ready(n.report.Conditions)
	}
	if r.RouterID == "" {
		r.ASNumber, r.RouterID = n.report.ASNumber, n.report.RouterID
	}
	return r
}

// mostCapacity bounds what one block counts for: sums of IPv6 subnets overflow.
const mostCapacity = 1 << 40

// ready is the Ready condition's status.
func ready(conditions []metav1.Condition) string {
	for _, c := range conditions {
		if c.Type == v1alpha1.ConditionReady {
			return string(c.Status)
		}
	}
	return string(metav1.ConditionUnknown)
}

func (s summary) tables(f facts) []table {
	first := problemTable(s.Problems, f.at)
	if s.Well {
		first = table{empty: "All is well."}
	}
	ts := []table{first}
	if f.leases {
		ts = append(ts, s.poolTable())
	}
	ts = append(ts, s.nodeTable())
	if f.leases {
		ts = append(ts, s.peerTable())
	}
	for _, note := range s.Notes {
		ts = append(ts, table{empty: "Note: " + note})
	}
	return ts
}

func (s summary) poolTable() table {
	t := table{
		title: "POOLS", header: []string{"NAME", "CIDR", "STATE", "READY", "ENCAPSULATION", "NAT", "BLOCKS", "ADDRESSES USED"},
		empty: "None: no node can lease a block until there is an IPPool.",
	}
	for _, p := range s.Pools {
		t.rows = append(t.rows, []string{
			p.Name, p.CIDR, p.State, p.Ready, p.Encapsulation, yesNo(p.NATOutgoing), ratio(p.BlocksLeased, p.BlockCapacity), fmt.Sprint(p.AddressesUsed),
		})
	}
	return t
}

func (s summary) nodeTable() table {
	t := table{
		title: "NODES", header: []string{"NAME", "READY", "ASN", "ROUTER-ID", "SESSIONS", "ROUTES", "BLOCKS", "ADDRESSES", "NOTE"},
		empty: "None.",
	}
	for _, n := range s.Nodes {
		asn := unknown
		if n.ASNumber != 0 {
			asn = strconv.FormatInt(n.ASNumber, 10)
		}
		row := []string{n.Name, n.Ready, asn, n.RouterID, unknown, unknown, unknown, unknown, n.Note}
		if c := n.Report; c != nil {
			row[4] = ratio(c.SessionsEstablished, c.SessionsWanted)
			row[5] = ratio(c.RoutesInstalled, c.RoutesWanted)
			row[6] = strconv.FormatInt(c.Blocks, 10)
			if c.BlocksAsked > 0 {
				row[6] += fmt.Sprintf(" (asks for %d)", c.BlocksAsked)
			}
			row[7] = ratio(c.AddressesUsed, c.AddressCapacity)
		}
		t.rows = append(t.rows, row)
	}
	return t
}

func (s summary) peerTable() table {
	t := table{
		title: "PEERS", header: []string{"NAME", "ADDRESS", "ASN", "READY", "SESSIONS"},
		empty: "None: nodes peer with each other (the mesh), unless a BGPConfiguration says otherwise.",
	}
	for _, p := range s.Peers {
		t.rows = append(t.rows, []string{
			p.Name, p.Address, strconv.FormatInt(p.ASNumber, 10), p.Ready, ratio(p.SessionsEstablished, p.SessionsWanted),
		})
	}
	return t
}
