package kube_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/config/rbac"
	"fairlead.dev/hack/lab/kube"
	"fairlead.dev/hack/lab/kube/kubetest"
)

// The API server alone goes and comes back: same address, same data, and the
// tokens and certificates given out before still count.
func TestAPIServerRestart(t *testing.T) {
	plane := kubetest.Shared(t)
	makeNode(t, "n1")
	agent := identityConfig(t, rbac.AgentServiceAccount, "n1")
	pool := manifest(t, "IPPool", "kept", "{cidr: 10.244.0.0/16}")
	create(t, admin(t), pool)
	before := plane.PIDs()
	client1 := newClient(t, agent)

	if err := plane.StopAPIServer(); err != nil {
		t.Fatal(err)
	}
	if err := client1.List(t.Context(), &v1alpha1.IPPoolList{}); err == nil {
		t.Error("a stopped API server answers")
	}
	if pids := plane.PIDs(); pids["kube-apiserver"] != 0 || pids["etcd"] != before["etcd"] {
		t.Errorf("processes %v, before %v", pids, before)
	}
	if err := plane.StopAPIServer(); err != nil {
		t.Errorf("second stop: %v", err)
	}
	if err := plane.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := plane.StartAPIServer(t.Context()); err == nil {
		t.Error("started twice")
	}
	after := &v1alpha1.IPPool{}
	if err := client1.Get(t.Context(), client.ObjectKey{Name: "kept"}, after); err != nil || after.UID != pool.GetUID() {
		t.Errorf("the pool after the restart: UID %s, want %s: %v", after.UID, pool.GetUID(), err)
	}
}

func TestIdentities(t *testing.T) {
	plane := kubetest.Shared(t)
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}
	create(t, admin(t), node)

	user, err := plane.ConfigFor("jane", "readers", "writers")
	if err != nil {
		t.Fatal(err)
	}
	if who := whoAmI(t, user); who.Username != "jane" || !slices.Contains(who.Groups, "writers") {
		t.Errorf("by certificate: %+v", who)
	}
	who := whoAmI(t, identityConfig(t, rbac.AgentServiceAccount, "n1"))
	if want := "system:serviceaccount:fairlead-system:fairlead-agent"; who.Username != want {
		t.Errorf("by token: %s, want %s", who.Username, want)
	}
	if got := who.Extra["authentication.kubernetes.io/node-name"]; !slices.Equal(got, authenticationv1.ExtraValue{"n1"}) {
		t.Errorf("node claim: %q", got)
	}
	if got := who.Extra["authentication.kubernetes.io/node-uid"]; !slices.Equal(got, authenticationv1.ExtraValue{string(node.UID)}) {
		t.Errorf("node UID claim: %q, want %s", got, node.UID)
	}
	if _, err := plane.TokenFor(t.Context(), rbac.Namespace, "nobody", ""); err == nil {
		t.Error("a token of a service account that is not there")
	}
}

func whoAmI(t *testing.T, cfg *rest.Config) authenticationv1.UserInfo {
	t.Helper()
	review := &authenticationv1.SelfSubjectReview{}
	if err := newClient(t, cfg).Create(t.Context(), review); err != nil {
		t.Fatal(err)
	}
	return review.Status.UserInfo
}

// A kubeconfig with a token is what each component is given.
func TestKubeconfigWithToken(t *testing.T) {
	plane := kubetest.Shared(t)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := plane.WriteKubeconfig(path, identityConfig(t, rbac.ControllerServiceAccount, "")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v: %v", info.Mode(), err)
	}
	out, err := exec.CommandContext(t.Context(), plane.Kubectl(), "--kubeconfig", path, "auth", "whoami").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "fairlead-controller") {
		t.Errorf("%v\n%s", err, out)
	}
}

// Installing again changes nothing.
func TestInstallTwice(t *testing.T) {
	plane := kubetest.Shared(t)
	c := admin(t)
	generation := func() int64 {
		o := parse(t, "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: ippools.fairlead.dev}}")
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
			t.Fatal(err)
		}
		return o.GetGeneration()
	}
	before := generation()
	if err := kube.Install(t.Context(), plane.AdminConfig()); err != nil {
		t.Fatal(err)
	}
	if after := generation(); after != before {
		t.Errorf("generation %d, before %d", after, before)
	}
}

// A program that does not start says why, and leaves nothing behind.
func TestStartFails(t *testing.T) {
	plane := kubetest.Shared(t)
	bin, dir := t.TempDir(), t.TempDir()
	if err := os.Symlink(filepath.Join(filepath.Dir(plane.Kubectl()), "etcd"), filepath.Join(bin, "etcd")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "kube-apiserver"), []byte("#!/bin/sh\necho no such flag >&2; exit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := kube.Start(t.Context(), kube.Options{Dir: dir, Bin: bin})
	if err == nil || !strings.Contains(err.Error(), "no such flag") || !strings.Contains(err.Error(), "kube-apiserver.log") {
		t.Errorf("the error does not show the log: %v", err)
	}
	if _, err := kube.Attach(dir); err == nil {
		t.Error("left a state behind")
	}
	if pids := processesIn(t, dir); len(pids) > 0 {
		t.Errorf("left processes behind: %v", pids)
	}
}

func TestStartInAnotherOnesFolder(t *testing.T) {
	plane := kubetest.Shared(t)
	if _, err := kube.Start(t.Context(), kube.Options{Dir: plane.Dir()}); err == nil || !strings.Contains(err.Error(), "holds a control plane already") {
		t.Errorf("err %v", err)
	}
}

// processesIn lists the processes whose working directory is dir.
func processesIn(t *testing.T, dir string) []int {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, link := range links {
		if at, err := os.Readlink(link); err == nil && strings.TrimSuffix(at, " (deleted)") == dir {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(link)))
			pids = append(pids, pid)
		}
	}
	return pids
}
