package labtest

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"fairlead.dev/hack/lab"
)

// NothingLeft finds what a lab that is gone has left on the host.
func NothingLeft(t testing.TB, instance string) {
	t.Helper()
	folder := filepath.Join(lab.BaseDir, instance)
	group := lab.CgroupName(instance)
	for _, pattern := range []string{folder, "/run/netns/fl-" + instance + "-*", "/sys/fs/cgroup/" + group, "/sys/fs/cgroup/*/" + group} {
		left, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range left {
			t.Errorf("%s is left", path)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, folder) {
			t.Errorf("a mount is left: %s", line)
		}
	}
	for _, pid := range running(t, folder, "/"+group+"/") {
		t.Errorf("process %d is left", pid)
	}
}

// running lists the processes whose command line names a folder, or that are in a
// cgroup. One that has ended, and that its parent has not asked for yet, has no
// folder of its own any more.
func running(t testing.TB, folder, group string) []int {
	t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, dir := range found {
		if _, err := os.Readlink(filepath.Join(dir, "cwd")); err != nil {
			continue
		}
		// One that ends just now is not left.
		line, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		groups, _ := os.ReadFile(filepath.Join(dir, "cgroup"))
		if !bytes.Contains(line, []byte(folder+"/")) && !bytes.Contains(groups, []byte(group)) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
