package chart

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/config/rbac"
	"fairlead.dev/hack/lab/kube"
	"fairlead.dev/hack/lab/kube/kubetest"
)

// TestFlowSchemas asks a real API server which of them it has queued a request by.
func TestFlowSchemas(t *testing.T) {
	plane := kubetest.Shared(t)
	c, err := client.New(plane.AdminConfig(), client.Options{Scheme: runtime.NewScheme()})
	if err != nil {
		t.Fatal(err)
	}
	uids := map[string]string{}
	for _, o := range render(t, "--namespace="+rbac.Namespace) {
		if o.GetKind() != "FlowSchema" {
			continue
		}
		if err := kube.Apply(t.Context(), c, o); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Delete(context.WithoutCancel(t.Context()), o) })
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
			t.Fatal(err)
		}
		uids[o.GetName()] = string(o.GetUID())
	}
	const leases = "/apis/coordination.k8s.io/v1/namespaces/" + rbac.Namespace + "/leases/fairlead-controller"
	for _, request := range []struct{ account, path, want string }{
		{rbac.AgentServiceAccount, "/apis/fairlead.dev/v1alpha1/ippools", "fairlead"},
		{rbac.ControllerServiceAccount, "/api/v1/nodes", "fairlead"},
		{rbac.AgentServiceAccount, "/apis", "fairlead"},
		{rbac.ControllerServiceAccount, leases, "fairlead-election"},
		{rbac.AgentServiceAccount, leases, "fairlead"},
	} {
		token, err := plane.TokenFor(t.Context(), rbac.Namespace, request.account, "")
		if err != nil {
			t.Fatal(err)
		}
		if got := queuedBy(t, plane.TokenConfig(token), request.path, uids[request.want]); got != uids[request.want] || got == "" {
			t.Errorf("%s of %s is queued by the FlowSchema with UID %s, want %s, which is %s", request.path, request.account, got, uids[request.want], request.want)
		}
	}
}

// queuedBy asks until it is the one wanted, or for half a minute: the server takes
// in a new FlowSchema in its own time.
func queuedBy(t *testing.T, cfg *rest.Config, path, want string) (uid string) {
	t.Helper()
	web, err := rest.HTTPClientFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); uid != want && time.Now().Before(deadline); <-tick.C {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, cfg.Host+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := web.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		uid = answer.Header.Get("X-Kubernetes-Pf-Flowschema-Uid")
	}
	return uid
}
