package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"fairlead.dev/config/rbac"
	"fairlead.dev/hack/lab/kube/kubetest"
)

func TestMain(m *testing.M) { kubetest.Main(m) }

func TestHelp(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"--help"}, nil, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"fairlead-controller", "--cooling-period", "5m0s"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("help does not say %q:\n%s", want, &out)
		}
	}
}

func TestRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "settings.yaml")
	if err := os.WriteFile(file, []byte("coolingPeriodd: 1m\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"unknown flag":        {[]string{"--no-such"}, "no-such"},
		"unknown key":         {[]string{"--config", file}, "coolingPeriodd"},
		"value out of range":  {[]string{"--node-grace-period", "-1s"}, "nodeGracePeriod"},
		"kubeconfig not read": {[]string{"--kubeconfig", "/nonexistent/kubeconfig"}, "/nonexistent/kubeconfig"},
	} {
		err := run(t.Context(), c.args, nil, io.Discard)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
}

// The program with its own identity: elected, healthy, measured, and ending well.
func TestRun(t *testing.T) {
	plane := kubetest.Shared(t)
	token, err := plane.TokenFor(t.Context(), rbac.Namespace, rbac.ControllerServiceAccount, "")
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := plane.WriteKubeconfig(kubeconfig, plane.TokenConfig(token)); err != nil {
		t.Fatal(err)
	}
	admin, err := kubernetes.NewForConfig(plane.AdminConfig())
	if err != nil {
		t.Fatal(err)
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}
	if _, err := admin.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}

	health, metrics := kubetest.FreeAddress(t), kubetest.FreeAddress(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, []string{"--kubeconfig", kubeconfig, "--health-address", health, "--metrics-address", metrics}, nil, io.Discard)
	}()
	answers(t, done, "http://"+health+"/healthz", "ok")
	answers(t, done, "http://"+health+"/readyz", "ok")
	answers(t, done, "http://"+metrics+"/metrics", `fairlead_controller_pass_seconds_count{pass="route"}`)
	answers(t, done, "http://"+metrics+"/metrics", `fairlead_blocks{state="Leased"} 0`)
	lease, err := admin.CoordinationV1().Leases(rbac.Namespace).Get(t.Context(), "fairlead-controller", metav1.GetOptions{})
	if err != nil || lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" {
		t.Errorf("nobody is elected: %v, error %v", lease, err)
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("a cancelled run ends with %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("a cancelled run does not end")
	}
}

// answers polls until the answer holds want.
func answers(t *testing.T, done <-chan error, url, want string) {
	t.Helper()
	var last string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		select {
		case err := <-done:
			t.Fatalf("run ended: %v", err)
		default:
		}
		resp, err := http.Get(url)
		if err != nil {
			last = err.Error()
			continue
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if last = fmt.Sprint(resp.Status, err, string(body)); resp.StatusCode == http.StatusOK && strings.Contains(string(body), want) {
			return
		}
	}
	t.Fatalf("%s does not answer %q: %s", url, want, last)
}
