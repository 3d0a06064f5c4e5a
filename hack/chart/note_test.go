package chart

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestNotesKnowEnforcers: the notes of an install and fairlead status hold the same
// programs for those that enforce NetworkPolicies.
func TestNotesKnowEnforcers(t *testing.T) {
	_, body, ok := strings.Cut(read(t, "../../cmd/fairlead/policy.go"), "func enforcers() []string {")
	body, _, _ = strings.Cut(body, "\n}")
	var parts []string
	for _, match := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(body, -1) {
		parts = append(parts, match[1])
	}
	want := `regexMatch "` + strings.Join(parts, "|") + `" .image`
	if notes := read(t, filepath.Join(dir, "templates", "NOTES.txt")); !ok || len(parts) == 0 || !strings.Contains(notes, want) {
		t.Errorf("NOTES.txt has no %s", want)
	}
}
