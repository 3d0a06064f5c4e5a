package runtime

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// tools are programs that the scenarios need besides Fairlead's.
type tools struct {
	// dir holds actor, cri and cnitool.
	dir string
	// plugins is a folder of reference CNI plugins.
	plugins string
}

func (b tools) actor() string   { return filepath.Join(b.dir, "actor") }
func (b tools) cri() string     { return filepath.Join(b.dir, "cri") }
func (b tools) cnitool() string { return filepath.Join(b.dir, "cnitool") }

const reference = "github.com/containernetworking/plugins/plugins/"

// buildTools builds them from the tree and the modules that it pins.
func buildTools(t *testing.T) tools {
	t.Helper()
	b := tools{dir: t.TempDir()}
	b.plugins = filepath.Join(b.dir, "plugins")
	root, err := filepath.Abs("../../../..")
	if err != nil {
		t.Fatal(err)
	}
	build := func(dir, out string, packages ...string) {
		t.Helper()
		args := append([]string{"build", "-trimpath", "-ldflags=-s -w", "-o", out + "/"}, packages...)
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = filepath.Join(root, dir)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build %v: %v\n%s", packages, err, out)
		}
	}
	build(".", b.dir, "./hack/lab/scenario/runtime/actor", "github.com/containernetworking/cni/cnitool")
	build("hack/cri", b.dir, ".")
	build("hack/plugins", b.plugins, reference+"main/bridge", reference+"main/loopback", reference+"ipam/host-local", reference+"meta/bandwidth", reference+"meta/firewall",
		reference+"meta/portmap", reference+"meta/sbr", reference+"meta/tuning")
	return b
}

// link puts a tool's file into a folder under its own name, unless one is there.
func link(t *testing.T, file, dir string) {
	t.Helper()
	to := filepath.Join(dir, filepath.Base(file))
	if _, err := os.Stat(to); err == nil {
		return
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o700); err != nil {
		t.Fatal(err)
	}
}
