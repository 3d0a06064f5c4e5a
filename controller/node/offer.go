package node

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/cniplugin/install"
	"fairlead.dev/controller/view"
)

// offer sees to the configuration by which the container runtime gives pods to
// us, and puts into the view how it stands. The runtime is told of us once the
// node is Ready, which is when pods can be served: blocks are in the store, their
// routes in the kernel. Sessions are no part of that: a router that is down would
// keep a node from ever starting a pod. It is not told while the first block of
// another family is awaited.
func (a *Agent) offer(v *view.Node, awaited []string) error {
	ready := meta.IsStatusConditionTrue(v.State.Conditions, v1alpha1.ConditionReady) && len(awaited) == 0
	found, err := a.ports.Runtime.Keep(ready)
	if a.moving.note(found, err, time.Now()) {
		a.Wake()
	}
	if err != nil {
		// No pod is served without it, whatever else is well.
		meta.SetStatusCondition(&v.State.Conditions, condition(v1alpha1.ConditionReady, false, "SyncFailed", err.Error()))
		return err
	}
	if c := configured(found, awaited); c != nil {
		v.State.Conditions = append(v.State.Conditions, *c)
	}
	return nil
}

// configured is nil while nothing was written yet: Ready says why.
func configured(f install.Found, awaited []string) *metav1.Condition {
	const kind = v1alpha1.ConditionCNIConfigured
	c := condition(kind, true, "Configured", install.ConfName+" is the first by name")
	switch {
	case len(f.Rivals) > 0 && f.Rivals[0].Broken != nil:
		c = condition(kind, false, "BrokenFileFirst", fmt.Sprintf(
			"%s comes before %s by name and cannot be read (%v): the container runtime may start no pod; mend it, or move it out of the folder",
			f.Rivals[0].Name, install.ConfName, f.Rivals[0].Broken))
	case len(f.Rivals) > 0:
		c = condition(kind, false, "OtherFirst", fmt.Sprintf(
			"%s comes before %s by name, so new pods of this node are that network's; if they are to be Fairlead's, move it out of the folder",
			f.Rivals[0].Name, install.ConfName))
	case f.Removed:
		c = condition(kind, false, "Removed", install.ConfName+
			" was written again and taken away again: another network provider on this node may tolerate no other; end it")
	case !f.Installed && len(awaited) > 0:
		c = condition(kind, false, "BlockAwaited", fmt.Sprintf(
			"pool %s has yet to lease this node a block, and no pod is to start without an address of its family: see the pool's conditions",
			strings.Join(awaited, ", ")))
	case !f.Installed:
		return nil
	case f.Changed:
		c = condition(kind, true, "ChangedByHand", install.ConfName+" is not as Fairlead wrote it; it stays so until the agent starts next")
	}
	return &c
}
