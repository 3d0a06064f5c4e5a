package kube_test

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/config/rbac"
	"fairlead.dev/hack/lab/kube/kubetest"
)

// identity makes a client with a service account's token, bound to the node
// unless that is "".
func identity(t *testing.T, serviceAccount, node string) client.Client {
	t.Helper()
	return newClient(t, identityConfig(t, serviceAccount, node))
}

func identityConfig(t *testing.T, serviceAccount, node string) *rest.Config {
	t.Helper()
	plane := kubetest.Shared(t)
	token, err := plane.TokenFor(t.Context(), rbac.Namespace, serviceAccount, node)
	if err != nil {
		t.Fatal(err)
	}
	return plane.TokenConfig(token)
}

func makeNode(t *testing.T, name string) {
	t.Helper()
	create(t, admin(t), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}})
}

func nodeState(name string) *v1alpha1.NodeState {
	return &v1alpha1.NodeState{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

// wantForbidden fails unless err is a refusal that says all of this.
func wantForbidden(t *testing.T, what string, err error, fragments ...string) {
	t.Helper()
	if !apierrors.IsForbidden(err) {
		t.Errorf("%s: want it forbidden, got %v", what, err)
		return
	}
	for _, f := range fragments {
		if !strings.Contains(err.Error(), f) {
			t.Errorf("%s: the refusal lacks %q: %v", what, f, err)
		}
	}
}

// waitForPolicy returns once the API server enforces the admission policy,
// which it loads a moment after it was applied.
func waitForPolicy(t *testing.T) {
	t.Helper()
	unbound := identity(t, rbac.AgentServiceAccount, "")
	eventually(t, "the admission policy is enforced", func() bool {
		return apierrors.IsForbidden(unbound.Create(t.Context(), nodeState("policy-probe"), client.DryRunAll))
	})
}

func TestAgentWritesItsOwnNodeState(t *testing.T) {
	makeNode(t, "n1")
	waitForPolicy(t)
	agent := identity(t, rbac.AgentServiceAccount, "n1")

	own := nodeState("n1")
	create := agent.Create(t.Context(), own)
	if create != nil {
		t.Fatal(create)
	}
	removeAfter(t, admin(t), own)
	own.Status.RouterID = "192.0.2.11"
	if err := agent.Status().Update(t.Context(), own); err != nil {
		t.Errorf("update of the status: %v", err)
	}
	before := own.DeepCopy()
	own.Status.SessionsWanted = 2
	if err := agent.Status().Patch(t.Context(), own, client.MergeFrom(before)); err != nil {
		t.Errorf("patch of the status: %v", err)
	}
	own.Labels = map[string]string{"a": "b"}
	if err := agent.Update(t.Context(), own); err != nil {
		t.Errorf("update: %v", err)
	}
	wantForbidden(t, "delete of its own", agent.Delete(t.Context(), own))
}

func TestAgentMayNotWriteAnothersNodeState(t *testing.T) {
	makeNode(t, "n1")
	makeNode(t, "n2")
	waitForPolicy(t)
	const says = "the agent of node n1 may not write NodeState n2"
	agent := identity(t, rbac.AgentServiceAccount, "n1")
	wantForbidden(t, "create", agent.Create(t.Context(), nodeState("n2")), says)

	other := nodeState("n2")
	create(t, admin(t), other)
	other.Labels = map[string]string{"a": "b"}
	wantForbidden(t, "update", agent.Update(t.Context(), other), says)
	other.Status.RouterID = "192.0.2.66"
	wantForbidden(t, "update of the status", agent.Status().Update(t.Context(), other), says)
	wantForbidden(t, "patch of the status", agent.Status().Patch(t.Context(), other, client.Merge), says)
	wantForbidden(t, "delete", agent.Delete(t.Context(), other))
	// A name that the API server makes up may begin with anything.
	generated := &v1alpha1.NodeState{ObjectMeta: metav1.ObjectMeta{GenerateName: "n1"}}
	wantForbidden(t, "create with a generated name", agent.Create(t.Context(), generated))
}

// A role that is too generous does not open what the policy closes.
func TestPolicyHoldsForDelete(t *testing.T) {
	makeNode(t, "n1")
	waitForPolicy(t)
	c := admin(t)
	for _, o := range manifestsOf(t, `
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: generous},
 rules: [{apiGroups: [fairlead.dev], resources: ['*'], verbs: ['*']}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: generous},
 roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: generous},
 subjects: [{kind: ServiceAccount, name: fairlead-agent, namespace: fairlead-system}]}`) {
		create(t, c, o)
	}
	agent := identity(t, rbac.AgentServiceAccount, "n1")
	create(t, c, nodeState("n1"))
	create(t, c, nodeState("n2"))
	eventually(t, "the generous role is in force", func() bool {
		return agent.Delete(t.Context(), nodeState("n1"), client.DryRunAll) == nil
	})
	const says = "may not write NodeState n2"
	wantForbidden(t, "delete of another's", agent.Delete(t.Context(), nodeState("n2")), says)
	err := agent.DeleteAllOf(t.Context(), &v1alpha1.NodeState{})
	if err == nil {
		t.Error("delete of all NodeStates: accepted")
	}
	if err := c.Get(t.Context(), client.ObjectKey{Name: "n2"}, nodeState("n2")); err != nil {
		t.Errorf("n2's state after all that: %v", err)
	}
}

func TestTokenWithoutNodeWritesNothing(t *testing.T) {
	waitForPolicy(t)
	unbound := identity(t, rbac.AgentServiceAccount, "")
	create(t, admin(t), nodeState("n3"))
	const says = "the agent's token is not bound to a node"
	wantForbidden(t, "create", unbound.Create(t.Context(), nodeState("n4")), says)
	o := nodeState("n3")
	wantForbidden(t, "patch of the status", unbound.Status().Patch(t.Context(), o, client.RawPatch(client.Merge.Type(), []byte(`{"status":{"routerID":"192.0.2.1"}}`))), says)
	// A user who merely calls himself by the node's name is not the agent at all.
	cfg, err := kubetest.Shared(t).ConfigFor("n3", "system:authenticated")
	if err != nil {
		t.Fatal(err)
	}
	wantForbidden(t, "create by a stranger", newClient(t, cfg).Create(t.Context(), nodeState("n4")))
}

// A token ends with its Node: a machine that was taken out of the cluster is
// no agent any more.
func TestTokenEndsWithItsNode(t *testing.T) {
	c := admin(t)
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "leaver"}}
	create(t, c, node)
	agent := identity(t, rbac.AgentServiceAccount, "leaver")
	if err := agent.List(t.Context(), &v1alpha1.IPPoolList{}); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the token is refused", func() bool {
		return apierrors.IsUnauthorized(agent.List(t.Context(), &v1alpha1.IPPoolList{}))
	})
	if _, err := kubetest.Shared(t).TokenFor(t.Context(), rbac.Namespace, rbac.AgentServiceAccount, "leaver"); err == nil {
		t.Error("a token for a node that is gone")
	}
}

func TestAgentReads(t *testing.T) {
	makeNode(t, "n1")
	agent := identity(t, rbac.AgentServiceAccount, "n1")
	for _, list := range []client.ObjectList{
		&v1alpha1.AddressPlanList{}, &v1alpha1.BGPNodeList{}, &v1alpha1.BGPPeerList{}, &v1alpha1.IPBlockList{}, &v1alpha1.IPPoolList{},
	} {
		if err := agent.List(t.Context(), list); err != nil {
			t.Errorf("list: %v", err)
		}
	}
	for name, list := range map[string]client.ObjectList{
		"nodes": &corev1.NodeList{}, "pods": &corev1.PodList{}, "node states": &v1alpha1.NodeStateList{}, "BGP configurations": &v1alpha1.BGPConfigurationList{},
	} {
		wantForbidden(t, "list of "+name, agent.List(t.Context(), list))
	}
}

func TestAgentSecrets(t *testing.T) {
	c := admin(t)
	makeNode(t, "n1")
	for _, namespace := range []string{rbac.Namespace, "default"} {
		create(t, c, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "tor-key"}})
	}
	agent := identity(t, rbac.AgentServiceAccount, "n1")
	if err := agent.Get(t.Context(), client.ObjectKey{Namespace: rbac.Namespace, Name: "tor-key"}, &corev1.Secret{}); err != nil {
		t.Errorf("get: %v", err)
	}
	wantForbidden(t, "get in another namespace", agent.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "tor-key"}, &corev1.Secret{}))
	wantForbidden(t, "list", agent.List(t.Context(), &corev1.SecretList{}, client.InNamespace(rbac.Namespace)))
	controller := identity(t, rbac.ControllerServiceAccount, "")
	wantForbidden(t, "get by the controller", controller.Get(t.Context(), client.ObjectKey{Namespace: rbac.Namespace, Name: "tor-key"}, &corev1.Secret{}))
}

func TestAgentMayNotWriteTheControllersKinds(t *testing.T) {
	makeNode(t, "n1")
	agent := identity(t, rbac.AgentServiceAccount, "n1")
	for _, o := range controllersObjects(t) {
		wantForbidden(t, "create of "+o.GetName(), agent.Create(t.Context(), o, client.DryRunAll))
	}
	pool := manifest(t, "IPPool", "p", "{cidr: 10.244.0.0/16}")
	create(t, admin(t), pool)
	wantForbidden(t, "status of a pool", agent.Status().Patch(t.Context(), pool, client.Merge))
}

func TestEvents(t *testing.T) {
	makeNode(t, "n1")
	for name, c := range map[string]client.Client{
		"controller": identity(t, rbac.ControllerServiceAccount, ""),
		"agent":      identity(t, rbac.AgentServiceAccount, "n1"),
	} {
		event := &eventsv1.Event{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "by-" + name}, EventTime: metav1.NowMicro(),
			ReportingController: "fairlead.dev/" + name, ReportingInstance: name, Action: "Test", Reason: "Test", Type: "Normal",
			Regarding: corev1.ObjectReference{Kind: "IPPool", Name: "p", APIVersion: "fairlead.dev/v1alpha1"},
		}
		if err := c.Create(context.WithoutCancel(t.Context()), event); err != nil {
			t.Errorf("event by the %s: %v", name, err)
			continue
		}
		removeAfter(t, admin(t), event)
	}
}

// controllersObjects are one of each kind that only the controller writes.
func controllersObjects(t *testing.T) []client.Object {
	return []client.Object{
		manifest(t, "AddressPlan", "cluster", "{}"),
		manifest(t, "BGPNode", "n1", "{nodeUID: u, asNumber: 65101, routerID: 192.0.2.1, listenPort: 179, gracefulRestartSeconds: 120}"),
		manifest(t, "IPBlock", "10.244.1.0-26", "{cidr: 10.244.1.0/26, poolName: p, poolUID: pu, nodeName: n1, nodeUID: u, state: Leased}"),
	}
}
