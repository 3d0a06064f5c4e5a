package main

import (
	"errors"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/hack/lab/kube/kubetest"
)

// NetworkPolicies that nobody enforces look like safety, and are none.
func TestPolicyNote(t *testing.T) {
	plane := kubetest.Shared(t)
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), appsv1.AddToScheme(scheme), networkingv1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	admin, err := client.New(plane.AdminConfig(), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	says := func(c client.Client, want string) {
		t.Helper()
		got := policyNote(t.Context(), c)
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("note %q, want %q", got, want)
		}
	}
	create := func(o client.Object) {
		t.Helper()
		if err := admin.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = admin.Delete(t.Context(), o) })
	}
	says(admin, "")
	policy := func(name string) *networkingv1.NetworkPolicy {
		return &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	}
	create(policy("a"))
	says(admin, "1 NetworkPolicy object exists: Fairlead enforces none")
	create(policy("b"))
	create(policy("c"))
	says(admin, "3 NetworkPolicy objects exist: Fairlead enforces none, and no DaemonSet is seen that does")
	set := func(name, image string) *appsv1.DaemonSet {
		labels := map[string]string{"app": name}
		return &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: image}}},
			},
		}}
	}
	create(set("other", "registry.example/proxy:1"))
	says(admin, "3 NetworkPolicy objects")

	nobody, err := plane.ConfigFor("nobody")
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(nobody, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	says(c, "")
	create(set("enforcer", "registry.k8s.io/networking/kube-network-policies:v0.9.0"))
	says(admin, "")
}

func TestNotesAreNoProblems(t *testing.T) {
	f := facts{leases: true, notes: []string{"3 of something."}}
	s := summarize(f)
	var out strings.Builder
	for _, table := range s.tables(f) {
		if err := table.write(&out); err != nil {
			t.Fatal(err)
		}
	}
	if !s.Well || !strings.HasPrefix(out.String(), "All is well.") || !strings.HasSuffix(out.String(), "Note: 3 of something.\n") {
		t.Errorf("well %v:\n%s", s.Well, out.String())
	}
}
