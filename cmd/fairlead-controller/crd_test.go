package main

import (
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"fairlead.dev/config/crd"
	"fairlead.dev/hack/lab/kube/kubetest"
)

func definition(t *testing.T, c client.Client, name string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	if err := c.Get(t.Context(), client.ObjectKey{Name: name}, o); err != nil {
		t.Fatal(err)
	}
	return o
}

// One that is older is brought up to date, and what is noted on it stays.
func TestInstallCRDs(t *testing.T) {
	plane := kubetest.Shared(t)
	c, err := client.New(plane.AdminConfig(), client.Options{Scheme: runtime.NewScheme()})
	if err != nil {
		t.Fatal(err)
	}
	const name = "bgppeers.fairlead.dev"
	older := definition(t, c, name)
	want := older.DeepCopy().Object["spec"]
	versions, _, err := unstructured.NestedSlice(older.Object, "spec", "versions")
	if err != nil {
		t.Fatal(err)
	}
	version := versions[0].(map[string]any)
	properties := []string{"schema", "openAPIV3Schema", "properties", "spec", "properties"}
	unstructured.RemoveNestedField(version, append(properties, "sourceAddress")...)
	if err := unstructured.SetNestedMap(version, map[string]any{"type": "string"}, append(properties, "formerly")...); err != nil {
		t.Fatal(err)
	}
	if err := unstructured.SetNestedSlice(older.Object, versions, "spec", "versions"); err != nil {
		t.Fatal(err)
	}
	older.SetAnnotations(map[string]string{"example.org/note": "ours"})
	if err := c.Update(t.Context(), older); err != nil {
		t.Fatal(err)
	}
	if cmp.Equal(want, definition(t, c, name).Object["spec"]) {
		t.Fatal("the definition is not older")
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := plane.WriteKubeconfig(kubeconfig, plane.AdminConfig()); err != nil {
		t.Fatal(err)
	}
	for range 2 { // it may be repeated
		if err := run(t.Context(), []string{"install-crds", "--kubeconfig", kubeconfig}, nil, io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	got := definition(t, c, name)
	if diff := cmp.Diff(want, got.Object["spec"]); diff != "" {
		t.Errorf("definition (-want +got):\n%s", diff)
	}
	if got.GetAnnotations()["example.org/note"] != "ours" {
		t.Errorf("annotations %v: the note is gone", got.GetAnnotations())
	}
}

func TestInstallMissingCRD(t *testing.T) {
	c, err := client.New(kubetest.Shared(t).AdminConfig(), client.Options{Scheme: runtime.NewScheme()})
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("fairlead.dev", "example.org").Replace(read(t, "fairlead.dev_addressplans.yaml"))
	other := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &other.Object); err != nil {
		t.Fatal(err)
	}
	if err := installCRD(t.Context(), c, other); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(t.Context(), definition(t, c, "addressplans.example.org")); err != nil {
		t.Error(err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := crd.FS.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
