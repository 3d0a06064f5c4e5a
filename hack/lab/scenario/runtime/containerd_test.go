package runtime

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"fairlead.dev/hack/lab"
)

// containerd is a machine's container runtime with all of its places in the
// machine, called as kubelet calls it.
type containerd struct {
	scene   *scene
	machine *machine
	process *lab.Process
	socket  string
}

// configuration of containerd 1.6. The native snapshotter copies, and works over
// any file system; a score below our own needs CAP_SYS_RESOURCE.
const configuration = `version = 2
root = %[1]q
state = %[2]q
[grpc]
  address = %[3]q
[plugins."io.containerd.internal.v1.opt"]
  path = %[1]q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %[4]q
  restrict_oom_score_adj = true
  tolerate_missing_hugetlb_controller = true
  disable_apparmor = true
  disable_tcp_service = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %[5]q
    conf_dir = %[6]q
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
`

// startContainerd starts one that uses the node's own CNI folders.
func (s *scene) startContainerd(t *testing.T, m *machine) *containerd {
	t.Helper()
	requireProgram(t, "containerd", "containerd")
	requireProgram(t, "runc", "runc")
	n := s.Node(m.node)
	// containerd wires loopback by a plugin of its own choice.
	link(t, filepath.Join(s.tools.plugins, "loopback"), n.CNIBinDir())
	folder := filepath.Join(m.folder, "containerd")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	c := &containerd{scene: s, machine: m, socket: filepath.Join(folder, "containerd.sock")}
	conf := filepath.Join(folder, "config.toml")
	text := fmt.Sprintf(configuration, filepath.Join(folder, "root"), filepath.Join(folder, "state"), c.socket, image, n.CNIBinDir(), n.CNIConfDir())
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if c.process, err = s.StartProcess(m.node+"-containerd", m.command("containerd", "--config", conf)...); err != nil {
		t.Fatal(err)
	}
	c.ready(t)
	archive := filepath.Join(folder, "image.tar")
	writeImage(t, archive, s.tools.actor())
	m.run(t, "ctr", "--address", c.socket, "--namespace", "k8s.io", "images", "import", "--snapshotter", "native", archive)
	s.eventually(t, "image in containerd", func(ctx context.Context) error {
		var status struct{ Image *struct{} }
		err := c.call(ctx, "ImageStatus", map[string]any{"image": map[string]any{"image": image}}, &status)
		if err == nil && status.Image == nil {
			err = fmt.Errorf("%s: not there", image)
		}
		return err
	})
	return c
}

// requireProgram skips the test without a program, and fails it in CI.
func requireProgram(t *testing.T, program, debian string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("needs %s (Debian: %s)", program, debian)
	}
	t.Skipf("needs %s (Debian: %s)", program, debian)
}

// call makes a CRI call.
func (c *containerd) call(ctx context.Context, method string, request, answer any) error {
	in, err := json.Marshal(request)
	if err != nil {
		return err
	}
	out, err := execute(ctx, nil, string(in), c.scene.tools.cri(), "-socket", c.socket, method)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(out), answer)
}

// ready waits until containerd answers, has read the CNI configuration, and says
// so as kubelet wants it for a node that is Ready.
func (c *containerd) ready(t *testing.T) {
	t.Helper()
	c.scene.eventually(t, "containerd is ready", func(ctx context.Context) error {
		var status struct {
			Status struct {
				Conditions []struct {
					Type, Reason, Message string
					Status                bool
				}
			}
		}
		if err := c.call(ctx, "Status", map[string]any{}, &status); err != nil {
			return err
		}
		ok := map[string]bool{}
		for _, condition := range status.Status.Conditions {
			ok[condition.Type] = condition.Status
		}
		if !ok["RuntimeReady"] || !ok["NetworkReady"] {
			return fmt.Errorf("%+v", status.Status.Conditions)
		}
		return nil
	})
}

// with runs f while the configuration that containerd takes has portmap use a
// backend, and then gives it back the installed one.
func (c *containerd) with(t *testing.T, backend string, f func()) {
	t.Helper()
	n := c.scene.Node(node)
	installed := c.scene.installed(t)
	if installed.Plugins[1]["backend"] == backend {
		f()
		return
	}
	was := fmt.Sprint(installed.Plugins[1]["backend"])
	installed.Plugins[1]["backend"] = backend
	data, err := json.Marshal(installed)
	if err != nil {
		t.Fatal(err)
	}
	first := filepath.Join(n.CNIConfDir(), "00-other.conflist") // by name
	// In one step: containerd reads a file as soon as there is one.
	if err := os.WriteFile(first+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(first+".new", first); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.Remove(first); err != nil {
			t.Error(err)
		}
		c.takes(t, was)
	}()
	c.takes(t, backend)
	f()
}

// takes waits until containerd has read a configuration with a backend.
func (c *containerd) takes(t *testing.T, backend string) {
	t.Helper()
	c.scene.eventually(t, "containerd takes backend "+backend, func(ctx context.Context) error {
		var status struct {
			Info struct{ CNIConfig string }
		}
		err := c.call(ctx, "Status", map[string]any{"verbose": true}, &status)
		if err == nil && !strings.Contains(status.Info.CNIConfig, backend) {
			err = fmt.Errorf("it has %s", status.Info.CNIConfig)
		}
		return err
	})
}

// version of the programs, for the log.
func (c *containerd) version(t *testing.T) string {
	t.Helper()
	var v struct{ RuntimeName, RuntimeVersion string }
	if err := c.call(t.Context(), "Version", map[string]any{}, &v); err != nil {
		t.Fatal(err)
	}
	runc, _, _ := strings.Cut(c.machine.run(t, "runc", "--version"), "\n")
	return v.RuntimeName + " " + v.RuntimeVersion + ", " + runc
}
