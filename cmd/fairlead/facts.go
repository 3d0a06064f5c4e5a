package main

import (
	"slices"
	"strings"
	"time"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/controller/view"
)

// facts are what the tables are made from, wherever it was read.
type facts struct {
	// at is when they were true: what ages are counted from.
	at time.Time
	// leases says that pools, configurations, peers and blocks were read: an
	// agent does not tell of them.
	leases   bool
	pools    []v1alpha1.IPPool
	configs  []v1alpha1.BGPConfiguration
	bgpPeers []v1alpha1.BGPPeer
	blocks   []v1alpha1.IPBlock
	wants    []want
	nodes    []node // sorted by name
	// routes are told by an agent only.
	routes []view.Route
	// problems that no condition of an object tells.
	problems []problem
	// notes are what to know beside, and no problems.
	notes []string
}

// node is one node and what its agent reports.
type node struct {
	name string
	// report is nil if the agent never reported.
	report *v1alpha1.NodeStateStatus
	// generation is that of the NodeState.
	generation int64
	// asn and routerID are what the controller decided, 0 and "" if nothing.
	asn      int64
	routerID string
	// addresses are the node's own, found by rule (nil is the default), and vtep
	// its end of the overlay, nil if it has none.
	addresses []string
	rule      *v1alpha1.NodeAddress
	vtep      *v1alpha1.VTEP
	// note says why the report is not the present state, "" if it is.
	note string
	// gone says that there is no such Node any more.
	gone bool
	// asked counts the blocks that the node asks for beyond those that it has.
	asked int64
}

func sortNodes(nodes []node) {
	slices.SortFunc(nodes, func(a, b node) int { return strings.Compare(a.name, b.name) })
}

// only keeps one node's rows; "" keeps all.
func only[R any](rows []R, name string, nodeOf func(R) string) []R {
	if name == "" {
		return rows
	}
	return slices.DeleteFunc(rows, func(r R) bool { return nodeOf(r) != name })
}
