package chart

import (
	"bytes"
	"encoding/json"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/config"
	"fairlead.dev/hack/lab/kube"
	"fairlead.dev/hack/lab/kube/kubetest"
)

// TestServerAccepts gives what the chart renders with each file of values to a real
// API server, in another namespace than the usual one. The server knows every
// field; it is not told the kinds of Prometheus' operator, which hack/alert checks.
func TestServerAccepts(t *testing.T) {
	c, err := client.New(kubetest.Shared(t).AdminConfig(), client.Options{Scheme: runtime.NewScheme()})
	if err != nil {
		t.Fatal(err)
	}
	core, err := client.New(kubetest.Shared(t).AdminConfig(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	// No Pod is accepted before its account is there.
	for _, o := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default", Namespace: namespace}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "fairlead-test", Namespace: namespace}},
	} {
		if err := core.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	dry := client.NewDryRunClient(c)
	for _, file := range valuesFiles(t) {
		for _, o := range render(t, "-f", file) {
			if o.GroupVersionKind().Group == "monitoring.coreos.com" {
				continue
			}
			if err := kube.Apply(t.Context(), dry, o); err != nil {
				t.Errorf("%s: %v", file, err)
			}
			if ns := o.GetNamespace(); ns != "" && ns != namespace {
				t.Errorf("%s: %s %s is in namespace %s", file, o.GetKind(), o.GetName(), ns)
			}
			if text, _ := json.Marshal(o); o.GetKind() != "CustomResourceDefinition" && bytes.Contains(text, []byte(config.DefaultNamespace)) {
				t.Errorf("%s: %s %s names the namespace %s", file, o.GetKind(), o.GetName(), config.DefaultNamespace)
			}
		}
	}
}
