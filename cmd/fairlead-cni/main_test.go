package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The plugin is executed for every pod: what it links decides how fast it starts.
func TestLinksLittle(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.FieldsSeq(string(out)) {
		for _, heavy := range []string{"k8s.io/", "sigs.k8s.io/", "github.com/osrg/gobgp", "google.golang.org/", "net/http"} {
			if strings.HasPrefix(dep, heavy) {
				t.Errorf("links %s", dep)
			}
		}
	}
}

func TestIsSmall(t *testing.T) {
	const most = 6 << 20
	binary := filepath.Join(t.TempDir(), "fairlead-cni")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	info, err := os.Stat(binary)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > most {
		t.Errorf("%d bytes, at most %d", info.Size(), most)
	}
}

// Run by hand it says what it is, and does nothing.
func TestSaysWhatItIs(t *testing.T) {
	cmd := exec.Command("go", "run", ".")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "container runtime") || !strings.Contains(string(out), "1.1.0") {
		t.Errorf("%v: %s", err, out)
	}
}
