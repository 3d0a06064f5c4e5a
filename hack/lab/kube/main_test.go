package kube_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/hack/lab/kube"
	"fairlead.dev/hack/lab/kube/kubetest"
)

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		if err := helper(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	kubetest.Main(m)
}

// newClient makes a client that knows Kubernetes' kinds and ours.
func newClient(t *testing.T, cfg *rest.Config) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func admin(t *testing.T) client.Client {
	t.Helper()
	return newClient(t, kubetest.Shared(t).AdminConfig())
}

// create makes an object for the length of the test.
func create(t *testing.T, c client.Client, o client.Object) {
	t.Helper()
	if err := c.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	removeAfter(t, c, o)
}

func removeAfter(t *testing.T, c client.Client, o client.Object) {
	t.Cleanup(func() {
		// t's own context is cancelled by now.
		if err := client.IgnoreNotFound(c.Delete(context.Background(), o)); err != nil {
			t.Error(err)
		}
	})
}

func manifestsOf(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	objects, err := kube.Manifests(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return objects
}

// parse reads the one object of a manifest.
func parse(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	objects := manifestsOf(t, text)
	if len(objects) != 1 {
		t.Fatalf("%d objects in\n%s", len(objects), text)
	}
	return objects[0]
}

func jsonOf(t *testing.T, o *unstructured.Unstructured) string {
	t.Helper()
	b, err := o.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// kubectl runs kubectl as an admin and returns its output.
func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	return kubectlIn(t, "", args...)
}

func kubectlIn(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	plane := kubetest.Shared(t)
	config := filepath.Join(t.TempDir(), "kubeconfig")
	if err := plane.WriteKubeconfig(config, plane.AdminConfig()); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), plane.Kubectl(), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+config)
	cmd.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("kubectl %v: %v\n%s", args, err, stderr.String())
	}
	return string(out)
}

// eventually polls until ok returns true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}
