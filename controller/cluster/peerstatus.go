package cluster

import (
	"cmp"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/api/v1alpha1"
)

// established is the FSM state of a session that carries routes (RFC 4271 section 8.2.2).
const established = "Established"

// peerTally is what the nodes say of one BGPPeer.
type peerTally struct {
	wanted, up int64
	// unheard are the nodes whose agents do not answer: of their sessions only what
	// was last known is.
	unheard []string
	// firstDown is the first node without an established session.
	firstDown string
	// errors are the nodes' reports, the first node of each and how many.
	errors map[string]*report
	// rival has the same address on a node, and comes first.
	rival *v1alpha1.BGPPeer
	node  string // of the rival
}

type report struct {
	node  string
	count int
}

// decidePeers returns the status of each BGPPeer, by name. It needs sorted State.
func decidePeers(s *State) map[string]v1alpha1.BGPPeerStatus {
	sels, invalid := peerSelectors(s.Peers)
	tallies := tallyPeers(s, sels)
	out := make(map[string]v1alpha1.BGPPeerStatus, len(s.Peers))
	for i := range s.Peers {
		p, t := &s.Peers[i], tallies[i]
		status := *p.Status.DeepCopy()
		status.SessionsWanted, status.SessionsEstablished = t.wanted, t.up
		setConditions(&status.Conditions, s.Now, peerReady(p, t, invalid[i]), peerEstablished(p, t))
		out[p.Name] = status
	}
	return out
}

func tallyPeers(s *State, sels *selectors) []peerTally {
	out := make([]peerTally, len(s.Peers))
	states := s.nodeStatesByName()
	for i := range s.Nodes {
		node := &s.Nodes[i]
		state := states[node.Name]
		sessions := sessionsByPeer(state)
		matches := sels.match(node.Labels)
		for _, n := range matches {
			if state != nil && !reachable(state) {
				out[n].wanted++
				out[n].unheard = append(out[n].unheard, node.Name)
				continue
			}
			out[n].add(node.Name, sessions[s.Peers[n].Name])
		}
		markRivals(s.Peers, matches, node.Name, out)
	}
	return out
}

func sessionsByPeer(n *v1alpha1.NodeState) map[string]v1alpha1.SessionStatus {
	out := map[string]v1alpha1.SessionStatus{}
	if n != nil {
		for _, session := range n.Status.Sessions {
			out[session.Peer] = session
		}
	}
	return out
}

// add counts one node's session; the zero session is none.
func (t *peerTally) add(node string, session v1alpha1.SessionStatus) {
	t.wanted++
	if session.State == established {
		t.up++
		return
	}
	if t.firstDown == "" {
		t.firstDown = node
	}
	if session.LastError == "" {
		return
	}
	if t.errors == nil {
		t.errors = map[string]*report{}
	}
	if t.errors[session.LastError] == nil {
		t.errors[session.LastError] = &report{node: node}
	}
	t.errors[session.LastError].count++
}

// markRivals finds among a node's peers those whose address an older one has:
// of two sessions to one address there can be only one.
func markRivals(peers []v1alpha1.BGPPeer, matches []int, node string, out []peerTally) {
	first := map[string]int{}
	slices.SortFunc(matches, func(a, b int) int {
		return cmp.Or(peers[a].CreationTimestamp.Compare(peers[b].CreationTimestamp.Time), cmp.Compare(peers[a].Name, peers[b].Name))
	})
	for _, n := range matches {
		holder, taken := first[peers[n].Spec.Address]
		switch {
		case !taken:
			first[peers[n].Spec.Address] = n
		case out[n].rival == nil:
			out[n].rival, out[n].node = &peers[holder], node
		}
	}
}

func peerReady(p *v1alpha1.BGPPeer, t peerTally, invalid error) metav1.Condition {
	switch {
	case invalid != nil:
		bad := invalidSelector(invalid)
		return condition(v1alpha1.ConditionReady, false, bad.reason, bad.message, p.Generation)
	case t.rival != nil:
		return condition(v1alpha1.ConditionReady, false, reasonDuplicateAddress, fmt.Sprintf(
			"spec.address %s is that of BGPPeer/%s too, and both select node %s, where only BGPPeer/%s is used: delete one of the two or change its nodeSelector",
			p.Spec.Address, t.rival.Name, t.node, t.rival.Name), p.Generation)
	}
	return condition(v1alpha1.ConditionReady, true, reasonAccepted, "the peer is used by the nodes that it selects", p.Generation)
}

func peerEstablished(p *v1alpha1.BGPPeer, t peerTally) metav1.Condition {
	switch {
	case t.wanted == 0:
		return condition(v1alpha1.ConditionEstablished, false, reasonNoNodeSelected, "spec.nodeSelector selects no node", p.Generation)
	case t.up == t.wanted:
		return condition(v1alpha1.ConditionEstablished, true, reasonAllEstablished, "every session is established", p.Generation)
	case t.up+int64(len(t.unheard)) == t.wanted:
		c := condition(v1alpha1.ConditionEstablished, false, reasonAgentSilent, fmt.Sprintf(
			"%d of %d sessions are established; of the others nothing is known, since the agents of their nodes do not answer: %s. See AgentReachable of their NodeStates",
			t.up, t.wanted, nameSome(t.unheard)), p.Generation)
		c.Status = metav1.ConditionUnknown
		return c
	}
	text, worst := "", report{node: t.firstDown}
	for e, r := range t.errors {
		if r.count > worst.count || r.count == worst.count && e < text {
			text, worst = e, *r
		}
	}
	if text == "" {
		text = "no error reported yet"
	}
	return condition(v1alpha1.ConditionEstablished, false, reasonSessionsDown, fmt.Sprintf(
		"%d of %d sessions are established with spec.address %s, spec.asNumber %d; node %s: %s",
		t.up, t.wanted, p.Spec.Address, p.Spec.ASNumber, worst.node, text), p.Generation)
}
