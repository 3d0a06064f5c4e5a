package node_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/dataplane"
)

// A router of the node's own has the port: the node serves by the sessions that it
// dials, says what is wrong, and listens once it can.
func TestPortIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, dataplane.Route{Prefix: away, Kind: dataplane.Unicast})
		r.speaker.TakePort(179)
		r.start(t)
		if got := r.reason(v1alpha1.ConditionReady); got != "SyncFailed" {
			t.Errorf("reason %q: who holds the port for a moment is waited for", got)
		}
		if n := len(r.speaker.Applied()); n > 1 {
			t.Errorf("applied %d times", n)
		}
		time.Sleep(time.Minute)
		r.converge()
		if err := r.Ready(); err != nil {
			t.Errorf("not ready: %v", err)
		}
		c := meta.FindStatusCondition(r.View().State.Conditions, v1alpha1.ConditionConfigAccepted)
		if c == nil || c.Status != "False" || !strings.Contains(c.Message, "port 179 is taken") || !strings.Contains(c.Message, "listenPort of the BGPConfiguration") {
			t.Errorf("condition %+v", c)
		}
		if got := r.reason(v1alpha1.ConditionSessionsEstablished); got != "AllEstablished" {
			t.Errorf("reason %q", got)
		}
		applied := r.speaker.Applied()
		if last := applied[len(applied)-1]; last.Global.ListenPort != -1 || len(last.Announce) != 1 {
			t.Errorf("applied %+v", last)
		}

		// As it comes free BGP begins anew, and what was learned stays meanwhile.
		r.speaker.Receive(tor1, away, tor1)
		r.Wake()
		r.settle()
		equal(t, "kernel", r.kernel.prefixes(t), own, away)
		r.speaker.TakePort(0)
		time.Sleep(15 * time.Second) // nobody wakes the agent
		applied = r.speaker.Applied()
		if last := applied[len(applied)-1]; last.Global.ListenPort != 179 {
			t.Errorf("applied %+v", last)
		}
		if got := r.reason(v1alpha1.ConditionConfigAccepted); got != "Accepted" {
			t.Errorf("reason %q", got)
		}
		time.Sleep(time.Minute)
		r.settle()
		equal(t, "kernel without a session", r.kernel.prefixes(t), own, away)
	})
}
