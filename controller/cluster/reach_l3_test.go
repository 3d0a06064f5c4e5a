package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/config/rbac"
)

func ofState(n *v1alpha1.NodeState) []metav1.Condition { return n.Status.Conditions }

// renews plays the agent: it renews its Lease, which holds for that long.
func (e env) renews(node string, holds time.Duration) {
	e.Helper()
	now := metav1.NowMicro()
	l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: rbac.Namespace, Name: v1alpha1.AgentLeaseName(node)}}
	if err := e.Create(e.Context(), l); !apierrors.IsAlreadyExists(err) {
		e.ok(err)
	}
	e.ok(e.Get(e.Context(), client.ObjectKeyFromObject(l), l))
	l.Spec = coordinationv1.LeaseSpec{RenewTime: &now, LeaseDurationSeconds: new(int32(holds / time.Second))}
	e.ok(e.Update(e.Context(), l))
}

// beats plays an agent that is well: it renews its Lease until that is seen. Once
// is not enough, if the controller has not begun to listen.
func (e env) beats(node string) {
	e.Helper()
	n := &v1alpha1.NodeState{ObjectMeta: metav1.ObjectMeta{Name: node}}
	e.eventually("the agent of "+node+" is heard", func() string {
		e.renews(node, time.Hour)
		e.ok(e.Get(e.Context(), client.ObjectKeyFromObject(n), n))
		if c := meta.FindStatusCondition(n.Status.Conditions, v1alpha1.ConditionAgentReachable); c == nil || c.Reason != reasonLeaseRenewed {
			return fmt.Sprintf("%+v", n.Status.Conditions)
		}
		return ""
	})
}

func (e env) reach(node string, status metav1.ConditionStatus, reason string) string {
	e.Helper()
	n := &v1alpha1.NodeState{ObjectMeta: metav1.ObjectMeta{Name: node}}
	return has(e, n, ofState, v1alpha1.ConditionAgentReachable, status, reason)
}

// The condition follows the Lease, and everything else stays as it was: the
// block, the routing facts, and what the agent said last.
func TestAgentFallsSilent(t *testing.T) {
	e := newEnv(t)
	opts := quick()
	registry := prometheus.NewRegistry()
	opts.Registry = registry
	e.start(opts)
	node := newNode("n", 0, nil, "192.0.2.1")
	e.create(newPool("p", "10.7.0.0/24", 26), node)
	block := e.leased("n", "p")
	said := v1alpha1.NodeStateStatus{NodeUID: string(node.UID), ASNumber: 65001, Conditions: []metav1.Condition{{
		Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: "Synced", LastTransitionTime: metav1.Now(),
	}}}
	e.reports("n", said)
	e.beats("n")

	e.renews("n", time.Second)
	message := e.reach("n", metav1.ConditionUnknown, reasonNodeSilent)
	if !strings.Contains(message, "Lease/fairlead-agent-n") {
		t.Errorf("message %q does not name the Lease", message)
	}
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	e.ok(e.Status().Update(t.Context(), node))
	e.reach("n", metav1.ConditionUnknown, reasonAgentSilent)
	e.counted(registry, "fairlead_agents_unreachable", 1)

	n := &v1alpha1.NodeState{}
	e.ok(e.Get(t.Context(), client.ObjectKey{Name: "n"}, n))
	if c := meta.FindStatusCondition(n.Status.Conditions, v1alpha1.ConditionReady); c == nil || c.Reason != "Synced" || n.Status.ASNumber != 65001 {
		t.Errorf("what the agent said is lost: %+v", n.Status)
	}
	if now := e.leased("n", "p"); now.UID != block.UID {
		t.Error("the block was taken from a node whose agent is silent")
	}
	if err := e.Get(t.Context(), client.ObjectKey{Name: "n"}, &v1alpha1.BGPNode{}); err != nil {
		t.Errorf("BGPNode: %v", err)
	}

	e.beats("n")
	e.counted(registry, "fairlead_agents_unreachable", 0)
}

// counted waits until a gauge has a value.
func (e env) counted(from prometheus.Gatherer, name string, want float64) {
	e.Helper()
	e.eventually(name, func() string {
		families, err := from.Gather()
		e.ok(err)
		for _, f := range families {
			if f.GetName() == name && f.GetMetric()[0].GetGauge().GetValue() == want {
				return ""
			}
		}
		return fmt.Sprintf("not %v", want)
	})
}

// Agent and controller write one status, each its part, in any order.
func TestConditionOfTwoWriters(t *testing.T) {
	e := newEnv(t)
	e.start(quick())
	node := newNode("n", 0, nil)
	e.create(node)
	e.reports("n", v1alpha1.NodeStateStatus{NodeUID: string(node.UID)})
	e.beats("n")
	// An agent that lies about the controller's condition, or drops it, is put right.
	lie := metav1.Condition{Type: v1alpha1.ConditionAgentReachable, Status: metav1.ConditionTrue, Reason: "Lie", LastTransitionTime: metav1.Now()}
	e.reports("n", v1alpha1.NodeStateStatus{NodeUID: string(node.UID), Conditions: []metav1.Condition{lie}})
	e.reach("n", metav1.ConditionTrue, reasonLeaseRenewed)
	e.reports("n", v1alpha1.NodeStateStatus{NodeUID: string(node.UID), ASNumber: 65002})
	e.reach("n", metav1.ConditionTrue, reasonLeaseRenewed)
	e.reports("n", v1alpha1.NodeStateStatus{NodeUID: "of-an-earlier-node"})
	e.reach("n", metav1.ConditionUnknown, reasonEarlierNode)
}

// What a controller did not hear it does not judge: the next leader gives every
// agent its time anew, and until then what was said stays.
func TestNextLeaderListensFirst(t *testing.T) {
	e := newEnv(t)
	stop := e.start(quick())
	node := newNode("n", 0, nil)
	e.create(node)
	e.reports("n", v1alpha1.NodeStateStatus{NodeUID: string(node.UID)})
	e.renews("n", time.Second)
	e.reach("n", metav1.ConditionUnknown, reasonNodeSilent)
	e.beats("n")
	stop()
	e.renews("n", 2*time.Second) // the last sign of life, and nobody saw it come
	seen := time.Now()
	e.start(quick())
	e.reach("n", metav1.ConditionUnknown, reasonNodeSilent)
	if took := time.Since(seen); took < 2*time.Second {
		t.Errorf("called silent after %s, the Lease holds for 2 s", took)
	}
}

func TestNodeGoneIsUnreachable(t *testing.T) {
	e := newEnv(t)
	opts := quick()
	opts.NodeGracePeriod = 3 * time.Second
	e.start(opts)
	node := newNode("n", 0, nil)
	e.create(newPool("p", "10.8.0.0/24", 26), node)
	e.leased("n", "p")
	e.reports("n", v1alpha1.NodeStateStatus{NodeUID: string(node.UID)})
	e.beats("n")
	e.ok(e.Delete(t.Context(), node))
	e.reach("n", metav1.ConditionUnknown, reasonNodeGone)
	for _, o := range []client.Object{
		&v1alpha1.NodeState{ObjectMeta: metav1.ObjectMeta{Name: "n"}},
		&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: rbac.Namespace, Name: v1alpha1.AgentLeaseName("n")}},
	} {
		e.eventually(fmt.Sprintf("%T goes with the node's last block", o), func() string {
			if err := e.Get(t.Context(), client.ObjectKeyFromObject(o), o); !apierrors.IsNotFound(err) {
				return "still there"
			}
			return ""
		})
	}
}

// A session that only a silent agent tells of is neither up nor down.
func TestPeersOfSilentAgents(t *testing.T) {
	e := newEnv(t)
	e.start(quick())
	peer := newPeer("tor", "192.0.2.254", nil)
	e.create(peer)
	up := []v1alpha1.SessionStatus{{Peer: "tor", Address: "192.0.2.254", State: established}}
	for _, name := range []string{"n1", "n2"} {
		node := newNode(name, 0, nil)
		e.create(node)
		e.reports(name, v1alpha1.NodeStateStatus{NodeUID: string(node.UID), Sessions: up})
		e.beats(name)
	}
	has(e, peer, ofPeer, v1alpha1.ConditionEstablished, metav1.ConditionTrue, reasonAllEstablished)
	e.renews("n2", time.Second)
	message := has(e, peer, ofPeer, v1alpha1.ConditionEstablished, metav1.ConditionUnknown, reasonAgentSilent)
	if !strings.Contains(message, "n2") || peer.Status.SessionsEstablished != 1 || peer.Status.SessionsWanted != 2 {
		t.Errorf("message %q, status %+v", message, peer.Status)
	}
}

// What decides is our clock and the change of the Lease's time, never the clock
// of the node: it may be anywhere.
func TestPulse(t *testing.T) {
	at := func(renewed time.Time, holds int32) *coordinationv1.Lease {
		l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "fairlead-agent-n"}}
		l.Spec.RenewTime, l.Spec.LeaseDurationSeconds = &metav1.MicroTime{Time: renewed}, &holds
		return l
	}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	ancient, ahead := start.Add(-24*time.Hour), start.Add(24*time.Hour)
	p := newPulses()
	if !p.note(at(ancient, 40), start, false) || p.get("n", start).beats || p.get("n", start).silent(start.Add(39*time.Second)) {
		t.Error("a Lease of the first list is neither alive nor silent yet")
	}
	if p.note(at(ancient, 40), start.Add(30*time.Second), false) || !p.get("n", start).silent(start.Add(40*time.Second)) {
		t.Error("no renewal, and not silent after 40 s")
	}
	if !p.note(at(ahead, 40), start.Add(50*time.Second), true) || !p.get("n", start).beats || p.get("n", start).silent(start.Add(89*time.Second)) {
		t.Error("a renewal is no news, or did not last")
	}
	if p.note(at(ancient, 40), start.Add(60*time.Second), true) {
		t.Error("a renewal in time is news")
	}
	p.forgive(start.Add(time.Hour))
	if q := p.get("n", start); q.beats || q.silent(start.Add(time.Hour+39*time.Second)) || !q.silent(start.Add(time.Hour+40*time.Second)) {
		t.Error("after an outage it does not begin anew")
	}
	if !p.note(at(start, 40), start.Add(2*time.Hour), true) {
		t.Error("the first renewal after an outage is no news")
	}
	p.forget("fairlead-agent-n")
	if q := p.get("n", start); q.beats || q.holds != defaultPulse {
		t.Error("without a Lease an agent has a pulse")
	}
	p.forgetGone(&State{Now: start.Add(time.Minute)})
	if len(p.of) > 0 {
		t.Errorf("remembered for ever: %v", p.of)
	}
}

// Condition types that are only the agent's are never the controller's to write.
func TestWatchmanOwnsOneCondition(t *testing.T) {
	e := newEnv(t)
	e.start(quick())
	node := newNode("n", 0, nil)
	e.create(node)
	e.reports("n", v1alpha1.NodeStateStatus{NodeUID: string(node.UID), ASNumber: 65001})
	e.beats("n")
	n := &v1alpha1.NodeState{}
	e.ok(e.Get(t.Context(), client.ObjectKey{Name: "n"}, n))
	i := slices.IndexFunc(n.ManagedFields, func(m metav1.ManagedFieldsEntry) bool { return m.Manager == Name })
	if i < 0 {
		t.Fatalf("managers: %+v", n.ManagedFields)
	}
	fields := n.ManagedFields[i].FieldsV1.GetRawString()
	if !strings.Contains(fields, `k:{\"type\":\"AgentReachable\"}`) || strings.Contains(fields, "asNumber") || strings.Count(fields, "k:{") != 1 {
		t.Errorf("the controller manages %s", fields)
	}
}
