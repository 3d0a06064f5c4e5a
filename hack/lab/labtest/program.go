package labtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"testing"

	"fairlead.dev/hack/lab"
)

// Fairlead's programs.
const (
	cli        = "fairlead.dev/cmd/fairlead"
	plugin     = "fairlead.dev/cmd/fairlead-cni"
	controller = "fairlead.dev/cmd/fairlead-controller"
	agent      = "fairlead.dev/cmd/fairlead-agent"
)

// Build builds Fairlead's programs from the tree that the test is part of, with
// the race detector if the test has it, and returns their folder, which is gone
// when the test ends. Programs named by lab.BinEnv are taken as they are.
//
// The agent is never built so: its BGP engine has data races of its own, in
// which none of our code takes part, and would end at some of them. The tests of
// bgp/speaker run with the detector and tell the engine's races from ours.
func Build(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv(lab.BinEnv); dir != "" {
		return dir
	}
	dir := t.TempDir()
	chained(t, dir)
	if !racy() {
		build(t, dir, "CGO_ENABLED=0", cli, plugin, controller, agent)
		return dir
	}
	// A program that finds a race ends, which the lab reports. Else it ends at
	// once: the detector's second of waiting would be one of every CNI call.
	t.Setenv("GORACE", "halt_on_error=1 atexit_sleep_ms=0")
	build(t, dir, "CGO_ENABLED=1", "-race", cli, plugin, controller)
	build(t, dir, "CGO_ENABLED=0", agent)
	return dir
}

func build(t testing.TB, dir, cgo string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"build", "-trimpath", "-o", dir}, args...)...)
	cmd.Env = append(os.Environ(), cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build Fairlead's programs: %v\n%s", err, out)
	}
}

// chained builds the reference plugins that are installed beside ours, which are
// of another module.
func chained(t testing.TB, dir string) {
	t.Helper()
	mod, err := exec.CommandContext(t.Context(), "go", "env", "GOMOD").Output()
	if err != nil {
		t.Fatalf("find Fairlead's tree: %v", err)
	}
	script := filepath.Join(filepath.Dir(string(mod)), "hack", "plugins", "build.sh")
	if out, err := exec.CommandContext(t.Context(), script, dir).CombinedOutput(); err != nil {
		t.Fatalf("build the chained plugins: %v\n%s", err, out)
	}
}

// racy says whether this very test was built with the race detector.
func racy() bool {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return false
	}
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}
