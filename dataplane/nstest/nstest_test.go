package nstest_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"fairlead.dev/dataplane/nstest"
)

// links are those that the calling thread sees.
func links(t *testing.T) string {
	t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		t.Error(err)
	}
	var names []string
	for _, i := range all {
		names = append(names, i.Name)
	}
	return fmt.Sprint(names)
}

func TestNamespaceIsApart(t *testing.T) {
	before := links(t)
	a, b := nstest.New(t, "a"), nstest.New(t, "b")
	a.Run(t, "ip", "link", "add", "one", "type", "veth", "peer", "name", "two", "netns", b.Name)
	a.Do(t, func() {
		if got := links(t); got != "[lo one]" {
			t.Errorf("inside a: %s", got)
		}
	})
	if out := b.Run(t, "ip", "-br", "link", "show", "two"); !strings.HasPrefix(out, "two") {
		t.Errorf("inside b: %s", out)
	}
	if out, err := exec.Command("ip", "-n", a.Name, "link", "show", "one").CombinedOutput(); err != nil {
		t.Errorf("ip -n %s: %v: %s", a.Name, err, out)
	}
	if after := links(t); after != before {
		t.Errorf("links of the test's own namespace went from %s to %s", before, after)
	}
}

func TestNameGoesWithTheTest(t *testing.T) {
	var ns nstest.NS
	t.Run("inner", func(t *testing.T) { ns = nstest.New(t, "gone") })
	if _, err := os.Lstat(ns.Path()); !os.IsNotExist(err) {
		t.Errorf("%s after its test: %v, want gone", ns.Path(), err)
	}
}

func TestNewSweepsNamesOfDeadProcesses(t *testing.T) {
	stale := filepath.Join(nstest.Dir, fmt.Sprintf("flt-stale-%d", os.Getpid()))
	first := nstest.New(t, "first") // makes Dir
	// No process has this number: it is above the kernel's own limit of 2^22.
	if err := os.Symlink("/proc/99999999/fd/3", stale); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(stale) })
	nstest.New(t, "second")
	if _, err := os.Lstat(stale); !os.IsNotExist(err) {
		t.Errorf("%s: %v, want swept", stale, err)
	}
	if _, err := os.Stat(first.Path()); err != nil {
		t.Errorf("a living name was swept: %v", err)
	}
}
