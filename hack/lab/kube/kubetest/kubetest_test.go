package kubetest_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairlead.dev/hack/lab/kube/kubetest"
)

// endEnv makes TestEnds end the test binary in the way that it names.
const endEnv = "FAIRLEAD_KUBETEST_END"

func TestMain(m *testing.M) { kubetest.Main(m) }

func TestShared(t *testing.T) {
	plane := kubetest.Shared(t)
	if again := kubetest.Shared(t); again != plane {
		t.Fatal("a second control plane")
	}
	if len(plane.PIDs()) != 2 {
		t.Errorf("processes %v", plane.PIDs())
	}
}

// TestEnds runs in a test binary of its own.
func TestEnds(t *testing.T) {
	end := os.Getenv(endEnv)
	if end == "" {
		t.Skip("only as a child of TestGoneHoweverTestsEnd")
	}
	fmt.Println("folder=" + kubetest.Shared(t).Dir())
	if end == "panic" {
		panic("as asked")
	}
	t.Fatal("as asked")
}

func TestGoneHoweverTestsEnd(t *testing.T) {
	for _, end := range []string{"fail", "panic"} {
		t.Run(end, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestEnds$", "-test.v")
			cmd.Env = append(os.Environ(), endEnv+"="+end)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "as asked") {
				t.Fatalf("child: %v\n%s", err, out)
			}
			dir := folder(t, string(out))
			for deadline := time.Now().Add(20 * time.Second); ; {
				_, err := os.Stat(dir)
				left := processesIn(t, dir)
				if os.IsNotExist(err) && len(left) == 0 {
					return
				}
				if time.Now().After(deadline) {
					t.Fatalf("left behind: folder %s (%v), processes %v", dir, err, left)
				}
				<-time.After(50 * time.Millisecond)
			}
		})
	}
}

// folder reads where the child's control plane was.
func folder(t *testing.T, out string) string {
	t.Helper()
	_, rest, found := strings.Cut(out, "folder=")
	if !found {
		t.Fatalf("the child names no folder:\n%s", out)
	}
	dir, _, _ := strings.Cut(rest, "\n")
	return dir
}

// processesIn lists the processes whose working directory is dir, by command.
func processesIn(t *testing.T, dir string) []string {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, link := range links {
		if at, err := os.Readlink(link); err == nil && strings.TrimSuffix(at, " (deleted)") == dir {
			name, _ := os.ReadFile(filepath.Join(filepath.Dir(link), "comm"))
			names = append(names, string(name))
		}
	}
	return names
}
