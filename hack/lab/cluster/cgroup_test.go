package cluster

import (
	"os"
	"path/filepath"
	"testing"
)

// TestInherit: another machine has just copied the first of two files.
func TestInherit(t *testing.T) {
	parent, dir := t.TempDir(), t.TempDir()
	write := func(dir, file, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(parent, "cpuset.cpus", "0-1\n")
	write(parent, "cpuset.mems", "0\n")
	write(dir, "cpuset.cpus", "0\n")
	write(dir, "cpuset.mems", "\n")
	if err := inherit(parent, dir); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"cpuset.cpus": "0\n", "cpuset.mems": "0\n"} {
		if got, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(got) != want {
			t.Errorf("%s is %q (%v), want %q", file, got, err, want)
		}
	}
	if err := inherit(t.TempDir(), t.TempDir()); err != nil {
		t.Errorf("a hierarchy without cpuset: %v", err)
	}
}
