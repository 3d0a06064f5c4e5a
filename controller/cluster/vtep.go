package cluster

import "fairlead.dev/api/v1alpha1"

// vtepOf is what the node's agent reports of its VXLAN device: with it the others
// know that they may send to it. That of another machine which had the node's name
// is not. An agent that is silent has stopped, which takes no device away.
func vtepOf(uid string, state *v1alpha1.NodeState) *v1alpha1.VTEP {
	if state == nil || state.Status.NodeUID != uid {
		return nil
	}
	return state.Status.VTEP.DeepCopy()
}

func sameVTEP(a, b *v1alpha1.VTEP) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// byVTEP wakes when an agent's device comes, goes or changes.
func byVTEP() watch {
	return changed(&v1alpha1.NodeState{}, func(a, b *v1alpha1.NodeState) bool {
		return a.Status.NodeUID != b.Status.NodeUID || !sameVTEP(a.Status.VTEP, b.Status.VTEP)
	})
}
