package cluster

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/cluster"
)

// nothingLeft finds what a cluster that is down left on the host.
func nothingLeft(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	for _, pattern := range []string{
		c.Dir(), "/run/netns/" + c.NSName("*"),
		"/sys/fs/cgroup/" + lab.CgroupName(c.Instance), "/sys/fs/cgroup/*/" + lab.CgroupName(c.Instance),
	} {
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
		if strings.Contains(line, c.Dir()) {
			t.Errorf("a mount is left: %s", line)
		}
	}
	for _, pid := range running(t, c.Dir()) {
		t.Errorf("process %d is left", pid)
	}
}

// running lists the processes whose command line or cgroup names the lab's folder.
// One that has ended, and that its parent has not asked for yet, has no folder.
func running(t *testing.T, dir string) []int {
	t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, path := range found {
		// A process that ends meanwhile is none that is left.
		line, _ := os.ReadFile(path)
		group, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cgroup"))
		if _, err := os.Readlink(filepath.Join(filepath.Dir(path), "cwd")); err != nil {
			continue
		}
		if bytes.Contains(line, []byte(dir)) || bytes.Contains(group, []byte("/"+lab.CgroupName(filepath.Base(dir))+"/")) {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}
