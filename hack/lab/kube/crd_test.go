package kube_test

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// rule is one line of an accept/reject table: what the API server makes of a spec.
type rule struct {
	name string
	// object is the metadata.name, when it is not the kind's usual.
	object string
	// spec is YAML in flow style.
	spec string
	// update, if any, is the spec that an object of the first is changed to.
	update string
	// refused lists what the refusal says; none means accepted.
	refused []string
}

// checkRules runs a table for a kind. object names the objects whose line does not.
func checkRules(t *testing.T, kind, object string, rules []rule) {
	c := admin(t)
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			if r.object == "" {
				r.object = object
			}
			o := manifest(t, kind, r.object, r.spec)
			err := c.Create(t.Context(), o)
			if err == nil {
				removeAfter(t, c, o)
			}
			if r.update != "" {
				if err != nil {
					t.Fatalf("create the object to change: %v", err)
				}
				err = change(t, c, o, manifest(t, kind, r.object, r.update))
			}
			checkRefusal(t, err, r.refused)
		})
	}
}

func change(t *testing.T, c client.Client, from, to *unstructured.Unstructured) error {
	to.SetResourceVersion(from.GetResourceVersion())
	return c.Update(t.Context(), to)
}

func checkRefusal(t *testing.T, err error, want []string) {
	t.Helper()
	switch {
	case len(want) == 0 && err != nil:
		t.Fatalf("refused: %v", err)
	case len(want) == 0:
		return
	case err == nil:
		t.Fatalf("accepted, want a refusal that says %q", want)
	case !apierrors.IsInvalid(err):
		t.Fatalf("not refused as invalid: %v", err)
	}
	for _, fragment := range want {
		if !strings.Contains(err.Error(), fragment) {
			t.Errorf("the refusal lacks %q:\n%v", fragment, err)
		}
	}
	if strings.Contains(err.Error(), "no such overload") || strings.Contains(err.Error(), "conversion") {
		t.Errorf("a rule failed instead of refusing:\n%v", err)
	}
}

func manifest(t *testing.T, kind, name, spec string) *unstructured.Unstructured {
	t.Helper()
	return parse(t, "{apiVersion: fairlead.dev/v1alpha1, kind: "+kind+", metadata: {name: '"+name+"'}, spec: "+spec+"}")
}
