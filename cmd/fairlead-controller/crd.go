package main

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"fairlead.dev/config/crd"
)

// installCRDs brings the CustomResourceDefinitions to those of this version: Helm
// makes those that are missing and never touches them again. What users and
// others have noted in their metadata stays.
func installCRDs(ctx context.Context, cfg *rest.Config, log *slog.Logger) error {
	c, err := client.New(cfg, client.Options{Scheme: runtime.NewScheme()})
	if err != nil {
		return fmt.Errorf("make an API client: %w", err)
	}
	files, err := fs.Glob(crd.FS, "*.yaml")
	if err != nil {
		return fmt.Errorf("list definitions: %w", err)
	}
	for _, file := range files {
		text, err := crd.FS.ReadFile(file)
		if err != nil {
			return fmt.Errorf("read definition: %w", err)
		}
		want := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(text, &want.Object); err != nil {
			return fmt.Errorf("parse definition %s: %w", file, err)
		}
		if err := installCRD(ctx, c, want); err != nil {
			return fmt.Errorf("install definition %s: %w", want.GetName(), err)
		}
	}
	log.Info("definitions installed")
	return nil
}

// installCRD replaces the whole spec: applied over what another client made, a
// field that is gone would stay.
func installCRD(ctx context.Context, c client.Client, want *unstructured.Unstructured) error {
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		have := &unstructured.Unstructured{}
		have.SetGroupVersionKind(want.GroupVersionKind())
		err := c.Get(ctx, client.ObjectKeyFromObject(want), have)
		if apierrors.IsNotFound(err) {
			return c.Create(ctx, want.DeepCopy())
		}
		if err != nil {
			return err
		}
		have.Object["spec"] = want.Object["spec"]
		notes := have.GetAnnotations()
		if notes == nil {
			notes = map[string]string{}
		}
		for k, v := range want.GetAnnotations() {
			notes[k] = v
		}
		have.SetAnnotations(notes)
		return c.Update(ctx, have)
	})
}
