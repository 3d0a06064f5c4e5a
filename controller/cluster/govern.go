package cluster

import (
	"cmp"

	"fairlead.dev/api/v1alpha1"
)

// governance is which BGPConfiguration each node follows.
type governance struct {
	// of is by node name; a node without one follows the defaults.
	of map[string]*v1alpha1.BGPConfiguration
	// count is how many nodes follow a configuration, by its name.
	count map[string]int64
	// conflicts name another configuration as specific, and a node that both select.
	conflicts map[string]conflict
	invalid   map[string]*problem
}

type conflict struct{ other, node, winner string }

// govern picks for each node the configuration with most requirements in its
// nodeSelector, between equals the first by name. It needs sorted State.
func govern(s *State) governance {
	out := governance{
		of:        make(map[string]*v1alpha1.BGPConfiguration, len(s.Nodes)),
		count:     map[string]int64{},
		conflicts: map[string]conflict{},
		invalid:   map[string]*problem{},
	}
	sels := newSelectors()
	for i := range s.Configs {
		if err := sels.add(s.Configs[i].Spec.NodeSelector); err != nil {
			out.invalid[s.Configs[i].Name] = invalidSelector(err)
		}
	}
	for i := range s.Nodes {
		node := &s.Nodes[i]
		var best *v1alpha1.BGPConfiguration
		matches := sels.match(node.Labels)
		for _, n := range matches {
			if c := &s.Configs[n]; best == nil || specificity(c) > specificity(best) {
				best = c
			}
		}
		if best == nil {
			continue
		}
		out.of[node.Name] = best
		out.count[best.Name]++
		for _, n := range matches {
			if c := &s.Configs[n]; c != best && specificity(c) == specificity(best) {
				out.conflict(c.Name, conflict{best.Name, node.Name, best.Name})
				out.conflict(best.Name, conflict{c.Name, node.Name, best.Name})
			}
		}
	}
	return out
}

// conflict keeps the first one found.
func (g governance) conflict(config string, c conflict) {
	if _, found := g.conflicts[config]; !found {
		g.conflicts[config] = c
	}
}

// specificity counts the requirements of a configuration's nodeSelector.
func specificity(c *v1alpha1.BGPConfiguration) int {
	if c.Spec.NodeSelector == nil {
		return 0
	}
	return len(c.Spec.NodeSelector.MatchLabels) + len(c.Spec.NodeSelector.MatchExpressions)
}

// settings of one node, defaults filled in. A nil configuration has none.
func settings(c *v1alpha1.BGPConfiguration) v1alpha1.BGPConfigurationSpec {
	out := v1alpha1.BGPConfigurationSpec{}
	if c != nil {
		out = c.Spec
	}
	out.ASNumber = cmp.Or(out.ASNumber, v1alpha1.DefaultASN)
	out.ListenPort = cmp.Or(out.ListenPort, v1alpha1.DefaultListenPort)
	out.NodeMesh = cmp.Or(out.NodeMesh, v1alpha1.NodeMeshAuto)
	out.GracefulRestartSeconds = cmp.Or(out.GracefulRestartSeconds, v1alpha1.DefaultGracefulRestartSeconds)
	return out
}

// peerSelectors are the BGPPeers' nodeSelectors, numbered as in the list; a
// number whose selector is invalid has an error.
func peerSelectors(peers []v1alpha1.BGPPeer) (*selectors, map[int]error) {
	sels, invalid := newSelectors(), map[int]error{}
	for i := range peers {
		if err := sels.add(peers[i].Spec.NodeSelector); err != nil {
			invalid[i] = err
		}
	}
	return sels, invalid
}
