package lint

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// breach is an import, in a file, that a rule of depguard must refuse; rule ""
// is an import that every rule must let pass.
type breach struct{ file, pkg, rule string }

func breaches() []breach {
	return []breach{
		{"controller/node/x.go", "log", "everywhere"},
		{"controller/node/x_test.go", "github.com/stretchr/testify/require", "everywhere"},
		{"cmd/fairlead/x.go", "fairlead.dev/hack/lab", "product"},
		{"cmd/fairlead/x_test.go", "fairlead.dev/hack/lab", ""},
		{"hack/lab/x.go", "fairlead.dev/hack/lab/kube", ""},
		{"controller/node/x.go", "github.com/osrg/gobgp/v3/api", "engine"},
		{"bgp/x_test.go", "github.com/osrg/gobgp/v3/pkg/server", "engine"},
		{"bgp/speaker/x.go", "github.com/osrg/gobgp/v3/pkg/server", ""},
		{"cniplugin/x_test.go", "github.com/vishvananda/netlink", "kernel"},
		{"cniplugin/x_test.go", "github.com/mdlayher/netlink", "kernel"},
		{"controller/node/x.go", "github.com/google/nftables", "kernel"},
		{"dataplane/nl/x.go", "github.com/vishvananda/netlink", ""},
		{"api/v1alpha1/x.go", "k8s.io/api/core", "api"},
		{"api/v1alpha1/x.go", "sigs.k8s.io/controller-runtime", "api"},
		{"api/v1alpha1/x.go", "k8s.io/apimachinery/pkg/runtime", ""},
		{"bgp/x.go", "golang.org/x/sync/errgroup", "bgp-values"},
		{"bgp/x.go", "fairlead.dev/bgp/speaker", "bgp-values"},
		{"bgp/x.go", "net/netip", ""},
		{"bgp/speaker/x.go", "fairlead.dev/dataplane", "bgp-room"},
		{"bgp/speaker/x.go", "fairlead.dev/api/v1alpha1", "bgp-room"},
		{"bgp/speaker/x.go", "fairlead.dev/controller/plan", "bgp-room"},
		{"bgp/speaker/x.go", "fairlead.dev/config", "bgp-room"},
		{"bgp/speaker/x_test.go", "fairlead.dev/dataplane/nstest", ""},
		{"dataplane/route/x.go", "fairlead.dev/bgp", "dataplane-room"},
		{"dataplane/x.go", "fairlead.dev/api/v1alpha1", "dataplane-room"},
		{"dataplane/link/x.go", "fairlead.dev/cniplugin/store", "dataplane-room"},
		{"dataplane/link/x.go", "k8s.io/klog/v2", "dataplane-room"},
		{"cniplugin/x.go", "k8s.io/client-go/rest", "cniplugin"},
		{"cniplugin/store/x.go", "github.com/fsnotify/fsnotify", "cniplugin"},
		{"cmd/fairlead-cni/x.go", "sigs.k8s.io/controller-runtime", "cniplugin"},
		{"cniplugin/x.go", "github.com/containernetworking/cni/pkg/skel", ""},
		{"cniplugin/x.go", "fairlead.dev/dataplane/link", ""},
		{"controller/ipam/x.go", "k8s.io/apimachinery/pkg/types", "ipam"},
		{"controller/view/x.go", "fairlead.dev/bgp", "view"},
		{"controller/plan/x.go", "fairlead.dev/bgp/speaker", "plan"},
		{"controller/plan/x.go", "fairlead.dev/dataplane/route", "plan"},
		{"controller/plan/x.go", "k8s.io/client-go/rest", "plan"},
		{"controller/plan/x.go", "os", "plan"},
		{"controller/plan/x.go", "context", "plan"},
		{"controller/plan/x.go", "log/slog", "plan"},
		{"controller/plan/x.go", "fairlead.dev/cniplugin/store", ""},
		{"controller/node/x.go", "fairlead.dev/bgp/speaker", "node"},
		{"controller/node/x.go", "fairlead.dev/dataplane/route", "node"},
		{"controller/node/x.go", "fairlead.dev/controller/cluster", "node"},
		{"controller/node/x.go", "fairlead.dev/bgp", ""},
		{"controller/cluster/x.go", "fairlead.dev/controller/node", "cluster"},
		{"controller/cluster/x.go", "fairlead.dev/dataplane", "cluster"},
		{"controller/cluster/x.go", "fairlead.dev/controller/ipam", ""},
	}
}

// TestRooms puts every breach into a module of the same shape, one file each,
// and lets the linter with the repository's own rules find them: exactly those.
func TestRooms(t *testing.T) {
	dir := t.TempDir()
	config, err := os.ReadFile("../../.golangci.yml")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, ".golangci.yml"), string(config))
	var imports []string
	for i, b := range breaches() {
		write(t, filepath.Join(dir, b.path(i)), fmt.Sprintf("package p\n\nimport _ %q\n", b.pkg))
		imports = append(imports, b.pkg)
	}
	writeModule(t, dir, imports)
	got := lint(t, dir)
	for i, b := range breaches() {
		if got[b.path(i)] != b.rule {
			t.Errorf("%s importing %s: refused by %q, want %q", b.file, b.pkg, got[b.path(i)], b.rule)
		}
	}
	everyRuleTried(t, string(config))
}

// path is a name of its own for the i-th breach's file, in the same folder and
// as much of a test.
func (b breach) path(i int) string {
	folder, name := filepath.Split(b.file)
	return folder + fmt.Sprintf("b%02d", i) + name
}

// writeModule makes each import a module of its own without content, so that
// everything resolves, offline, and nothing imports in a circle.
func writeModule(t *testing.T, dir string, imports []string) {
	t.Helper()
	mod := "module rooms.test\n\ngo 1.26.0\n"
	slices.Sort(imports)
	for i, pkg := range slices.Compact(imports) {
		if first, _, _ := strings.Cut(pkg, "/"); !strings.Contains(first, ".") {
			continue // standard library
		}
		version := "v0.0.0"
		if major := path.Base(pkg); regexp.MustCompile(`^v[2-9]$`).MatchString(major) {
			version = major + ".0.0"
		}
		stub := fmt.Sprintf("stub/%02d", i)
		write(t, filepath.Join(dir, stub, "go.mod"), "module "+pkg+"\n\ngo 1.26.0\n")
		write(t, filepath.Join(dir, stub, "p.go"), "package p\n")
		mod += fmt.Sprintf("require %[1]s %[2]s\nreplace %[1]s => ./%[3]s\n", pkg, version, stub)
	}
	write(t, filepath.Join(dir, "go.mod"), mod)
}

// lint returns the rule that refused each file's import.
func lint(t *testing.T, dir string) map[string]string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	linter, err := exec.CommandContext(t.Context(), "go", "tool", "-n", "-modfile="+filepath.Join(root, "hack/tools/go.mod"), "golangci-lint").Output()
	if err != nil {
		t.Fatalf("find golangci-lint: %v", err)
	}
	cmd := exec.CommandContext(t.Context(), strings.TrimSpace(string(linter)), "run", "--enable-only=depguard",
		"--output.json.path=stdout", "--output.text.path=stderr", "--show-stats=false", "--issues-exit-code=0", "./...")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("golangci-lint: %v\n%s", err, stderr.String())
	}
	var report struct {
		Issues []struct {
			FromLinter, Text string
			Pos              struct{ Filename string }
		}
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("read golangci-lint's report: %v\n%s", err, out)
	}
	rule := regexp.MustCompile(`from list '([^']+)'`)
	found := map[string]string{}
	for _, issue := range report.Issues {
		m := rule.FindStringSubmatch(issue.Text)
		if issue.FromLinter != "depguard" || m == nil {
			t.Errorf("unexpected finding of %s in %s: %s", issue.FromLinter, issue.Pos.Filename, issue.Text)
			continue
		}
		found[issue.Pos.Filename] = m[1]
	}
	return found
}

// everyRuleTried fails when a rule is added to the linter and not to breaches.
func everyRuleTried(t *testing.T, config string) {
	t.Helper()
	tried := map[string]bool{}
	for _, b := range breaches() {
		tried[b.rule] = true
	}
	_, rules, ok := strings.Cut(config, "    depguard:\n      rules:\n")
	if !ok {
		t.Fatal(".golangci.yml has no rules of depguard")
	}
	rules, _, _ = strings.Cut(rules, "\n\n")
	names := regexp.MustCompile(`(?m)^        ([a-z-]+):$`).FindAllStringSubmatch(rules, -1)
	if len(names) < 10 {
		t.Errorf("only %d rules found in .golangci.yml", len(names))
	}
	for _, name := range names {
		if !tried[name[1]] {
			t.Errorf("no breach of rule %q is tried", name[1])
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
