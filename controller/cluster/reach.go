package cluster

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/api/v1alpha1"
)

// reachable says whether a report is to be taken for the present state. One that
// was not judged yet is.
func reachable(n *v1alpha1.NodeState) bool {
	c := meta.FindStatusCondition(n.Status.Conditions, v1alpha1.ConditionAgentReachable)
	return c == nil || c.Status == metav1.ConditionTrue
}

// decideReach returns what is to be said of each agent, by node, where that is
// known, and after how long (0: never) the next one may have fallen silent. It
// takes no lease and no route from anybody: what a silent agent left goes on.
func decideReach(s *State, p *pulses) (map[string]metav1.Condition, time.Duration) {
	out := map[string]metav1.Condition{}
	var next time.Duration
	nodes := s.nodesByName()
	for i := range s.NodeStates {
		n := &s.NodeStates[i]
		beat := p.get(n.Name, s.Now)
		if c, known := reach(n, nodes[n.Name], beat, s.Now); known {
			out[n.Name] = c
		}
		next = earliest(next, beat.holds-s.Now.Sub(beat.at))
	}
	return out, next
}

// reach judges one agent. It is not known while this controller has not listened
// for long enough: then what was said before stays.
func reach(n *v1alpha1.NodeState, node *corev1.Node, beat pulse, now time.Time) (c metav1.Condition, known bool) {
	c = metav1.Condition{Type: v1alpha1.ConditionAgentReachable, Status: metav1.ConditionUnknown, ObservedGeneration: n.Generation}
	switch {
	case node == nil:
		c.Reason, c.Message = reasonNodeGone, "there is no Node of this name: all else here is what was last known"
	case n.Status.NodeUID != "" && n.Status.NodeUID != string(node.UID):
		c.Reason, c.Message = reasonEarlierNode, "the agent has not reported since the Node was made anew: all else here is of the earlier one"
	case beat.silent(now) && !nodeReady(node):
		c.Reason, c.Message = reasonNodeSilent, fmt.Sprintf(
			"the agent has not renewed Lease/%s for %s, and the Node is not Ready either: all else here is what was last known. Is the machine up, and does it reach the API server?",
			v1alpha1.AgentLeaseName(n.Name), beat.holds)
	case beat.silent(now):
		c.Reason, c.Message = reasonAgentSilent, fmt.Sprintf(
			"the agent has not renewed Lease/%s for %s, though the Node is Ready: all else here is what was last known. Does its fairlead-agent Pod run, and what does its log say?",
			v1alpha1.AgentLeaseName(n.Name), beat.holds)
	case beat.beats:
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, reasonLeaseRenewed, "the agent renews its Lease: all else here is what it has to tell"
	default:
		return c, false
	}
	return c, true
}

// nodeReady says whether the node's kubelet is heard from and well.
func nodeReady(n *corev1.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// sameReach says whether what is said needs no write.
func sameReach(n *v1alpha1.NodeState, c metav1.Condition) bool {
	is := meta.FindStatusCondition(n.Status.Conditions, c.Type)
	return is != nil && is.Status == c.Status && is.Reason == c.Reason && is.Message == c.Message
}
