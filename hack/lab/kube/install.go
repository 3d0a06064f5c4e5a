package kube

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/config/crd"
	"fairlead.dev/config/rbac"
)

// fieldOwner is who server-side apply says has set a field.
const fieldOwner = client.FieldOwner("fairlead-lab")

// installTimeout bounds Install on a busy machine.
const installTimeout = 60 * time.Second

// Install applies Fairlead's CRDs, namespace, service accounts, roles and
// admission policy, and waits until the API server serves every kind. It may be
// repeated.
func Install(ctx context.Context, cfg *rest.Config) error {
	c, err := client.New(cfg, client.Options{Scheme: runtime.NewScheme()})
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	crds, err := manifests(crd.FS)
	if err != nil {
		return err
	}
	roles, err := manifests(rbac.FS)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	if err := Apply(ctx, c, crds...); err != nil {
		return err
	}
	// The first list of a new kind takes the API server a second, while it
	// fills its cache: all kinds at once, and the roles meanwhile.
	g, ctx := errgroup.WithContext(ctx)
	for _, o := range crds {
		g.Go(func() error { return waitServed(ctx, c, o) })
	}
	g.Go(func() error { return Apply(ctx, c, roles...) })
	return g.Wait()
}

// Apply applies the objects in order, as server-side apply does, over whatever
// others have set.
func Apply(ctx context.Context, c client.Client, objects ...*unstructured.Unstructured) error {
	for _, o := range objects {
		if err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(o), fieldOwner, client.ForceOwnership); err != nil {
			return fmt.Errorf("apply %s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	return nil
}

// Manifests reads the objects of a YAML stream.
func Manifests(r io.Reader) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(r, 4096)
	for {
		o := &unstructured.Unstructured{}
		err := decoder.Decode(&o.Object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("parse manifest: %w", err)
		}
		if len(o.Object) > 0 {
			objects = append(objects, o)
		}
	}
}

// manifests reads a folder of embedded files. A Namespace goes before what is in it.
func manifests(files embed.FS) ([]*unstructured.Unstructured, error) {
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list manifests: %w", err)
	}
	var first, rest []*unstructured.Unstructured
	for _, name := range names {
		b, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read manifest: %w", err)
		}
		objects, err := Manifests(bytes.NewReader(b))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, o := range objects {
			if o.GetKind() == "Namespace" {
				first = append(first, o)
			} else {
				rest = append(rest, o)
			}
		}
	}
	return append(first, rest...), nil
}

// waitServed polls until a CRD's kind can be listed. The condition Established
// alone comes a moment before the API server's handler does.
func waitServed(ctx context.Context, c client.Client, definition *unstructured.Unstructured) error {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(listKind(definition))
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		err := c.List(ctx, list)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait until %s is served: %w: %w", definition.GetName(), ctx.Err(), err)
		}
	}
}

// listKind is the list kind of a CRD's first version.
func listKind(definition *unstructured.Unstructured) schema.GroupVersionKind {
	group, _, _ := unstructured.NestedString(definition.Object, "spec", "group")
	kind, _, _ := unstructured.NestedString(definition.Object, "spec", "names", "listKind")
	versions, _, _ := unstructured.NestedSlice(definition.Object, "spec", "versions")
	version := ""
	if len(versions) > 0 {
		if v, ok := versions[0].(map[string]any); ok {
			version, _ = v["name"].(string)
		}
	}
	return schema.GroupVersionKind{Group: group, Version: version, Kind: kind}
}
