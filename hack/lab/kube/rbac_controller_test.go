package kube_test

import (
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/config/rbac"
)

func TestControllerWrites(t *testing.T) {
	c := admin(t)
	controller := identity(t, rbac.ControllerServiceAccount, "")
	for _, o := range controllersObjects(t) {
		if err := controller.Create(t.Context(), o); err != nil {
			t.Errorf("create: %v", err)
			continue
		}
		o.SetLabels(map[string]string{"a": "b"})
		if err := controller.Update(t.Context(), o); err != nil {
			t.Errorf("update: %v", err)
		}
		if err := controller.Delete(t.Context(), o); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
	for kind, spec := range map[string]string{"IPPool": "{cidr: 10.244.0.0/16}", "BGPPeer": "{address: 192.0.2.1, asNumber: 1}", "BGPConfiguration": "{}"} {
		o := manifest(t, kind, "users", spec)
		create(t, c, o)
		if err := controller.Status().Patch(t.Context(), o, client.RawPatch(client.Merge.Type(), []byte(`{"status":{"conditions":[]}}`))); err != nil {
			t.Errorf("status of %s: %v", kind, err)
		}
		wantForbidden(t, "update of a user's "+kind, controller.Update(t.Context(), o))
	}
}

func TestControllerAndNodeStates(t *testing.T) {
	controller := identity(t, rbac.ControllerServiceAccount, "")
	o := nodeState("n5")
	create(t, admin(t), o)
	o.Status.RouterID = "192.0.2.1"
	wantForbidden(t, "update", controller.Update(t.Context(), o))
	wantForbidden(t, "update of the status", controller.Status().Update(t.Context(), o))
	wantForbidden(t, "create", controller.Create(t.Context(), nodeState("n6")))
	if err := controller.List(t.Context(), &v1alpha1.NodeStateList{}); err != nil {
		t.Errorf("list: %v", err)
	}
	if err := controller.Delete(t.Context(), o); err != nil {
		t.Errorf("delete: %v", err)
	}
}

func TestControllerElection(t *testing.T) {
	controller := identity(t, rbac.ControllerServiceAccount, "")
	lease := func(namespace, name string) *coordinationv1.Lease {
		return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	}
	own := lease(rbac.Namespace, "fairlead-controller")
	if err := controller.Create(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	removeAfter(t, admin(t), own)
	holder := "me"
	own.Spec.HolderIdentity = &holder
	if err := controller.Update(t.Context(), own); err != nil {
		t.Errorf("update: %v", err)
	}
	wantForbidden(t, "create elsewhere", controller.Create(t.Context(), lease("kube-system", "fairlead-controller")))
	other := lease(rbac.Namespace, "another")
	create(t, admin(t), other)
	wantForbidden(t, "update of another's", controller.Update(t.Context(), other))
}

// An agent's Lease tells the controller that it lives, and no other agent may
// tell so. The Lease of the election is no agent's.
func TestAgentLease(t *testing.T) {
	makeNode(t, "n1")
	waitForPolicy(t)
	agent, controller := identity(t, rbac.AgentServiceAccount, "n1"), identity(t, rbac.ControllerServiceAccount, "")
	lease := func(name string) *coordinationv1.Lease {
		return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: rbac.Namespace, Name: name}}
	}
	renew := client.RawPatch(client.Merge.Type(), []byte(`{"spec":{"renewTime":"2026-01-02T03:04:05.000006Z"}}`))
	own := lease(v1alpha1.AgentLeaseName("n1"))
	eventually(t, "the policy covers Leases", func() bool { // it is loaded a moment after the others
		return agent.Create(t.Context(), lease("other"), client.DryRunAll) != nil
	})
	if err := agent.Create(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	removeAfter(t, admin(t), own)
	if err := agent.Patch(t.Context(), own, renew); err != nil {
		t.Errorf("renew: %v", err)
	}
	election, other := lease("fairlead-controller"), lease(v1alpha1.AgentLeaseName("n2"))
	for _, o := range []*coordinationv1.Lease{election, other} {
		const says = "the agent of node n1 may not write Lease "
		wantForbidden(t, "create of "+o.Name, agent.Create(t.Context(), o), says+o.Name)
		create(t, admin(t), o)
		wantForbidden(t, "renewal of "+o.Name, agent.Patch(t.Context(), o, renew), says+o.Name)
	}
	if err := controller.List(t.Context(), &coordinationv1.LeaseList{}, client.InNamespace(rbac.Namespace)); err != nil {
		t.Errorf("list by the controller: %v", err)
	}
	wantForbidden(t, "renewal by the controller", controller.Patch(t.Context(), other, renew))
	if err := controller.Delete(t.Context(), other); err != nil {
		t.Errorf("delete by the controller: %v", err)
	}
}

// The controller opens Nodes to pods, by patches of two things; agents touch none.
func TestControllerAndNodes(t *testing.T) {
	makeNode(t, "n7")
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n7"}}
	controller, agent := identity(t, rbac.ControllerServiceAccount, ""), identity(t, rbac.AgentServiceAccount, "n7")
	condition := client.RawPatch(types.StrategicMergePatchType, []byte(`{"status":{"conditions":[{"type":"NetworkUnavailable","status":"False"}]}}`))
	taints := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"taints":[]}}`))
	if err := controller.Status().Patch(t.Context(), node, condition); err != nil {
		t.Errorf("condition: %v", err)
	}
	if err := controller.Patch(t.Context(), node, taints); err != nil {
		t.Errorf("taints: %v", err)
	}
	wantForbidden(t, "update", controller.Update(t.Context(), node))
	wantForbidden(t, "delete", controller.Delete(t.Context(), node))
	wantForbidden(t, "condition by an agent", agent.Status().Patch(t.Context(), node, condition))
	wantForbidden(t, "taints by an agent", agent.Patch(t.Context(), node, taints))
}
