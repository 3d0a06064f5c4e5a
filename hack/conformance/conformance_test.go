package conformance_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"fairlead.dev/hack/conformance"
	"fairlead.dev/hack/lab/labtest"
)

// bin holds our plugin as a runtime finds it.
var bin string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "fairlead-conformance-test-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		bin = dir
		// As it is shipped, whatever the test is built with.
		build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(dir, "fairlead"), "fairlead.dev/cmd/fairlead-cni")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build the plugin: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// Every obligation, in every version that it is of.
func TestFairlead(t *testing.T) {
	labtest.Root(t)
	ours := conformance.Fairlead(bin)
	for _, o := range conformance.Obligations() {
		t.Run(o.ID, func(t *testing.T) {
			for _, version := range conformance.Versions() {
				if !o.Applies(version) {
					continue
				}
				t.Run(version, func(t *testing.T) {
					t.Parallel()
					out, err := o.Try(ours, version, t.TempDir())
					if err != nil {
						t.Fatal(err)
					}
					if out.Verdict == conformance.Failed {
						t.Errorf("%s\n%s", o.Text, out)
					}
				})
			}
		})
	}
}
