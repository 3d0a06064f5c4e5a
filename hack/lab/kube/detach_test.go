package kube_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"k8s.io/client-go/discovery"

	"fairlead.dev/dataplane/nstest"
	"fairlead.dev/hack/lab/kube"
)

// helperEnv makes the test binary start a control plane in the folder that it
// names, say so, and wait for the end of its input; see TestMain.
const (
	helperEnv       = "FAIRLEAD_KUBE_TEST_DIR"
	helperNetNSEnv  = "FAIRLEAD_KUBE_TEST_NETNS"
	helperDetachEnv = "FAIRLEAD_KUBE_TEST_DETACH"
)

const namespacedAddress = "10.97.0.1"

func helper() error {
	opts := kube.Options{Dir: os.Getenv(helperEnv), NetNS: os.Getenv(helperNetNSEnv), Detach: os.Getenv(helperDetachEnv) != ""}
	if opts.NetNS != "" {
		opts.Address = netip.MustParseAddr(namespacedAddress)
	}
	if _, err := kube.Start(context.Background(), opts); err != nil {
		return err
	}
	fmt.Println("ready")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// startHelper returns when the helper's control plane is ready.
func startHelper(t *testing.T, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("helper says %q: %v, %v", line, err, cmd.Wait())
	}
	return cmd
}

func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed, as it says
}

// However we end, what we started ends.
func TestControlPlaneEndsWithItsParent(t *testing.T) {
	dir := t.TempDir()
	cmd := startHelper(t, helperEnv+"="+dir)
	if pids := processesIn(t, dir); len(pids) != 2 {
		t.Errorf("processes %v, want etcd and kube-apiserver", pids)
	}
	kill(t, cmd)
	eventually(t, "the control plane is gone", func() bool { return len(processesIn(t, dir)) == 0 })
}

// A detached control plane in a network namespace lives on, and another process
// takes it over: uses it, restarts its API server, ends it.
func TestAttach(t *testing.T) {
	ns := nstest.New(t, "kube")
	ns.Run(t, "ip", "addr", "add", namespacedAddress+"/32", "dev", "lo")
	dir := t.TempDir()
	kill(t, startHelper(t, helperEnv+"="+dir, helperNetNSEnv+"="+ns.Path(), helperDetachEnv+"=1"))

	plane, err := kube.Attach(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plane.Stop(); err != nil {
			t.Error(err)
		}
	})
	if plane.URL() != "https://10.97.0.1:6443" || plane.Instance() != filepath.Base(dir) {
		t.Errorf("%s at %s", plane.Instance(), plane.URL())
	}
	checkServes(t, plane)
	checkNetNS(t, plane, ns)
	if err := plane.StopAPIServer(); err != nil {
		t.Fatal(err)
	}
	if err := plane.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkServes(t, plane)
	checkNetNS(t, plane, ns)
	if err := plane.Stop(); err != nil {
		t.Fatal(err)
	}
	if pids := processesIn(t, dir); len(pids) > 0 {
		t.Errorf("processes %v after Stop", pids)
	}
	if _, err := kube.Attach(dir); err == nil {
		t.Error("state after Stop")
	}
}

// checkServes reaches the API server from our own network namespace.
func checkServes(t *testing.T, plane *kube.ControlPlane) {
	t.Helper()
	client, err := discovery.NewDiscoveryClientForConfig(plane.AdminConfig())
	if err != nil {
		t.Fatal(err)
	}
	version, err := client.ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	if version.Major != "1" || version.GitVersion == "" || version.GitTreeState != "clean" {
		t.Errorf("version %+v", version)
	}
}

// checkNetNS reads from the kernel where the processes are, and uses the
// kubeconfig as a component in the namespace does.
func checkNetNS(t *testing.T, plane *kube.ControlPlane, ns nstest.NS) {
	t.Helper()
	want := ns.Run(t, "readlink", "/proc/self/ns/net")
	pids := plane.PIDs()
	if len(pids) != 2 {
		t.Errorf("processes %v", pids)
	}
	for name, pid := range pids {
		got, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
		if err != nil || got+"\n" != want {
			t.Errorf("%s is in %s, want %s: %v", name, got, want, err)
		}
	}
	config := filepath.Join(t.TempDir(), "kubeconfig")
	if err := plane.WriteKubeconfig(config, plane.AdminConfig()); err != nil {
		t.Fatal(err)
	}
	ns.Run(t, plane.Kubectl(), "--kubeconfig", config, "get", "namespace", "default")
}
