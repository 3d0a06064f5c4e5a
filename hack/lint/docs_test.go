package lint

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReasonsAreDocumented: whoever meets a reason must find what to do about it.
func TestReasonsAreDocumented(t *testing.T) {
	reasons := inSources(t, "../../controller",
		regexp.MustCompile(`\breason[A-Z]\w*\s*=\s*"(\w+)"`),
		regexp.MustCompile(`\bcondition\([^\n]*?, (?:true|false), "(\w+)"`))
	requireAll(t, "../../docs/troubleshooting.md", reasons, 20)
}

func TestMetricsAreDocumented(t *testing.T) {
	metrics := inSources(t, "../../controller", regexp.MustCompile(`"(fairlead_[a-z_]+)"`))
	requireAll(t, "../../docs/metrics.md", metrics, 10)
}

// inSources collects the first groups of all matches in Go files but tests.
func inSources(t *testing.T, root string, patterns ...*regexp.Regexp) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, p := range patterns {
			for _, m := range p.FindAllStringSubmatch(string(text), -1) {
				found[m[1]] = path
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func requireAll(t *testing.T, page string, words map[string]string, least int) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if len(words) < least {
		t.Errorf("only %d found in the sources: are they written in another way now?", len(words))
	}
	for word, source := range words {
		if !regexp.MustCompile(`\b` + word + `\b`).Match(text) {
			t.Errorf("%s does not tell of %s, from %s", page, word, source)
		}
	}
}
