package install_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/cniplugin"
	"fairlead.dev/cniplugin/install"
)

// installed are the programs, sorted.
var installed = []string{"fairlead", "fairlead-bandwidth", "fairlead-ipam", "fairlead-portmap"}

// host is a machine's folders, not made yet, and the folder of the programs to install.
type host struct{ source, binDir, confDir string }

func newHost(t *testing.T) host {
	t.Helper()
	dir := t.TempDir()
	h := host{filepath.Join(dir, "image"), filepath.Join(dir, "opt/cni/bin"), filepath.Join(dir, "etc/cni/net.d")}
	h.build(t, h.source, "1")
	return h
}

// build writes programs of a version.
func (h host) build(t *testing.T, dir, version string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"fairlead-cni", "fairlead-portmap", "fairlead-bandwidth"} {
		write(t, filepath.Join(dir, name), name+" "+version)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // as the folder of a runtime is
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (h host) install(t *testing.T) {
	t.Helper()
	if err := install.Programs(h.source, h.binDir); err != nil {
		t.Fatal(err)
	}
}

func (h host) program(name string) string { return filepath.Join(h.binDir, name) }
func (h host) conf() string               { return filepath.Join(h.confDir, "10-fairlead.conflist") }

func checkFile(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if diff := cmp.Diff(content, read(t, path)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != mode {
		t.Errorf("%s has mode %v, want %v", path, info.Mode(), mode)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}

func TestPrograms(t *testing.T) {
	h := newHost(t)
	old := syscall.Umask(0o077) // the modes must not depend on it
	h.install(t)
	syscall.Umask(old)
	for name, source := range map[string]string{
		cniplugin.Type: "fairlead-cni", cniplugin.IPAMType: "fairlead-cni",
		"fairlead-portmap": "fairlead-portmap", "fairlead-bandwidth": "fairlead-bandwidth",
	} {
		checkFile(t, h.program(name), source+" 1", 0o755)
	}
	if diff := cmp.Diff(installed, names(t, h.binDir)); diff != "" {
		t.Errorf("programs (-want +got):\n%s", diff)
	}
}

func TestProgramsAgainTouchNothing(t *testing.T) {
	h := newHost(t)
	h.install(t)
	before := map[string]uint64{}
	for _, name := range installed {
		before[name] = inode(t, h.program(name))
	}
	h.install(t)
	for _, name := range installed {
		if inode(t, h.program(name)) != before[name] {
			t.Errorf("%s was as it must be, and was written again", name)
		}
	}
}

func TestProgramsAreReplaced(t *testing.T) {
	h := newHost(t)
	h.install(t)
	running, err := os.Open(h.program("fairlead"))
	if err != nil {
		t.Fatal(err)
	}
	defer running.Close()
	h.build(t, h.source, "2")
	if err := os.Chmod(h.program("fairlead-ipam"), 0o600); err != nil { // not to be executed
		t.Fatal(err)
	}
	h.install(t)
	for _, name := range []string{"fairlead", "fairlead-ipam"} {
		checkFile(t, h.program(name), "fairlead-cni 2", 0o755)
	}
	before := make([]byte, 14)
	if _, err := running.Read(before); err != nil || string(before) != "fairlead-cni 1" {
		t.Errorf("the file that was running reads %q, %v", before, err)
	}
}

// Other packages' plugins are theirs, of whatever version.
func TestOthersProgramsStay(t *testing.T) {
	h := newHost(t)
	for _, name := range []string{"portmap", "bandwidth"} {
		write(t, h.program(name), "another package's")
	}
	h.install(t)
	if err := install.Remove(h.binDir, h.confDir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"portmap", "bandwidth"} {
		checkFile(t, h.program(name), "another package's", 0o600)
	}
}

// A reader never sees a part of a file, however many install at once.
func TestProgramsAreWhole(t *testing.T) {
	h := newHost(t)
	sources := make([]string, 4)
	for i := range sources {
		sources[i] = filepath.Join(h.source, string(rune('a'+i)))
		h.build(t, sources[i], "")
		write(t, filepath.Join(sources[i], "fairlead-cni"), strings.Repeat(string(rune('a'+i)), 1<<20))
	}
	h.source = sources[0]
	h.install(t)
	var wg sync.WaitGroup
	for _, source := range sources {
		wg.Go(func() {
			for range 5 {
				if err := install.Programs(source, h.binDir); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 50 {
		data := read(t, h.program("fairlead"))
		if len(data) != 1<<20 || strings.Count(data, data[:1]) != 1<<20 {
			t.Fatal("saw a file that is not whole")
		}
	}
	wg.Wait()
	if diff := cmp.Diff(installed, names(t, h.binDir)); diff != "" {
		t.Errorf("left beside the programs:\n%s", diff)
	}
}

func TestProgramsWithoutSource(t *testing.T) {
	h := newHost(t)
	missing := filepath.Join(h.source, "fairlead-portmap")
	if err := os.Remove(missing); err != nil {
		t.Fatal(err)
	}
	if err := install.Programs(h.source, h.binDir); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("error does not name the source: %v", err)
	}
}

func TestRemove(t *testing.T) {
	h := newHost(t)
	h.install(t)
	write(t, h.conf(), "{}")
	write(t, h.program("loopback"), "x")
	write(t, filepath.Join(h.confDir, "99-other.conf"), "x")
	for _, left := range []string{h.program(".fairlead.new-123"), filepath.Join(h.confDir, ".10-fairlead.conflist.new-9")} {
		write(t, left, "of an installation that was killed")
	}
	for range 2 { // the second time nothing is there
		if err := install.Remove(h.binDir, h.confDir); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"loopback"}, names(t, h.binDir)); diff != "" {
		t.Errorf("programs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"99-other.conf"}, names(t, h.confDir)); diff != "" {
		t.Errorf("configurations (-want +got):\n%s", diff)
	}
	if err := install.Remove(h.program("none"), filepath.Join(h.confDir, "none")); err != nil {
		t.Errorf("folders that are not there: %v", err)
	}
}

// A configuration that is still there must not name programs that are gone.
func TestRemoveKeepsProgramsThatAreNamed(t *testing.T) {
	h := newHost(t)
	h.install(t)
	write(t, filepath.Join(h.conf(), "busy"), "a folder that is not empty cannot be removed")
	if err := install.Remove(h.binDir, h.confDir); err == nil || !strings.Contains(err.Error(), h.conf()) {
		t.Errorf("error does not name the configuration: %v", err)
	}
	if got := names(t, h.binDir); !slices.Equal(got, installed) {
		t.Errorf("programs left: %v", got)
	}
}
