package config

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of the documentation instead of comparing them")

// TestDocumentation holds the tables of docs/configuration.md to what the
// processes define: go test ./config -update writes them.
func TestDocumentation(t *testing.T) {
	const path = "../docs/configuration.md"
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := string(raw)
	controller, agent := DefaultController(), DefaultAgent()
	for name, cfg := range map[string]Settings{"controller": &controller, "agent": &agent} {
		begin, end := "<!-- begin "+name+" -->\n", "<!-- end "+name+" -->"
		head, rest, ok := strings.Cut(want, begin)
		_, tail, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Fatalf("%s has no place %q to %q", path, begin, end)
		}
		want = head + begin + Table(cfg) + end + tail
	}
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(raw) {
		t.Errorf("%s is not what the settings are: run go test ./config -update", path)
	}
}
