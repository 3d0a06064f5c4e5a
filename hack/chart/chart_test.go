package chart

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"fairlead.dev/hack/lab/kube"
	"fairlead.dev/hack/lab/kube/kubetest"
)

const (
	dir       = "../../charts/fairlead"
	namespace = "elsewhere"
)

func TestMain(m *testing.M) { kubetest.Main(m) }

// TestSameManifests: the chart can hold no link to config, so it holds copies.
func TestSameManifests(t *testing.T) {
	for folder, copies := range map[string]string{"crd": "crds", "rbac": "files/rbac"} {
		if diff := cmp.Diff(yamls(t, "../../config/"+folder), yamls(t, filepath.Join(dir, copies))); diff != "" {
			t.Errorf("%s is not config/%s (-config +chart): run make generate\n%s", copies, folder, diff)
		}
	}
}

func yamls(t *testing.T, dir string) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, p := range files(t, filepath.Join(dir, "*.yaml")) {
		texts[filepath.Base(p)] = read(t, p)
	}
	return texts
}

// valuesFiles are ours and those that the chart ships, by name.
func valuesFiles(t *testing.T) []string {
	t.Helper()
	return append(files(t, "testdata/*.yaml"), files(t, filepath.Join(dir, "ci", "*.yaml"))...)
}

func files(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	return paths
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// render returns what an install makes, the definitions and hooks too.
func render(t *testing.T, args ...string) []*unstructured.Unstructured {
	t.Helper()
	out, err := template(t, args...)
	if err != nil {
		t.Fatalf("render: %v\n%s", err, out)
	}
	objects, err := kube.Manifests(strings.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func template(t *testing.T, args ...string) (string, error) {
	t.Helper()
	// helm reads the chart where the go command does not see it: a test that had not
	// looked itself would be taken from the cache after the chart has changed.
	err := filepath.WalkDir(dir, func(_ string, _ fs.DirEntry, err error) error { return err })
	if err != nil {
		t.Fatal(err)
	}
	return helm(t, append([]string{"template", "fairlead", dir, "--include-crds", "--kube-version=1.32.0", "--namespace=" + namespace}, args...)...)
}

// helmProgram is the path of helm as the go command built it: to go by it each time
// takes longer than helm itself.
var helmProgram = sync.OnceValues(func() (string, error) {
	var path []byte
	for _, args := range [][]string{{"helm", "version"}, {"-n", "helm"}} { // the first builds it
		out, err := exec.Command("go", append([]string{"tool", "-modfile=../helm/go.mod"}, args...)...).Output()
		if err != nil {
			return "", err
		}
		path = out
	}
	return strings.TrimSpace(string(path)), nil
})

// helm returns stdout, or, on error, stderr.
func helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	program, err := helmProgram()
	if err != nil {
		t.Fatalf("find helm: %v", err)
	}
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stderr.String(), err
	}
	return stdout.String(), nil
}
