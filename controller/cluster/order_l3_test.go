package cluster

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/hack/lab/kube"
	"fairlead.dev/hack/lab/kube/kubetest"
)

// At a first install the controller may be there before its kinds and roles, and
// nodes and pools in any order after that.
func TestControllerBeforeItsKinds(t *testing.T) {
	plane := kubetest.Bare(t)
	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha1.AddToScheme(scheme), corev1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, plane.AdminConfig(), quick(), slog.New(slog.NewTextHandler(t.Output(), nil))) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("controller: %v", err)
		}
	})
	c, err := client.New(plane.AdminConfig(), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	e := env{T: t, Client: c}
	e.create(newNode("early", 0, nil))
	if err := kube.Install(t.Context(), plane.AdminConfig()); err != nil {
		t.Fatal(err)
	}
	e.create(newPool("p", "10.7.0.0/24", 26), newNode("late", 0, nil))
	e.leased("early", "p")
	e.leased("late", "p")
}
