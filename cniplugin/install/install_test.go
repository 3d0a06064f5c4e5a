package install_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/containernetworking/cni/libcni"
	"github.com/google/go-cmp/cmp"

	"fairlead.dev/cniplugin"
	"fairlead.dev/cniplugin/install"
)

const wantConflist = `{
  "cniVersion": "1.0.0",
  "cniVersions": [
    "0.4.0",
    "1.0.0",
    "1.1.0"
  ],
  "name": "fairlead",
  "plugins": [
    {
      "type": "fairlead",
      "runDir": "/run/fairlead"
    }
  ]
}
`

// host is a machine's folders, not made yet, and a program to install.
type host struct{ source, binDir, confDir string }

func newHost(t *testing.T) host {
	t.Helper()
	dir := t.TempDir()
	h := host{filepath.Join(dir, "image", "fairlead-cni"), filepath.Join(dir, "opt/cni/bin"), filepath.Join(dir, "etc/cni/net.d")}
	h.setSource(t, "program 1")
	return h
}

func (h host) setSource(t *testing.T, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(h.source), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.source, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (h host) install(t *testing.T) {
	t.Helper()
	if err := install.Install(h.source, h.binDir, h.confDir, install.Conf{RunDir: "/run/fairlead"}); err != nil {
		t.Fatal(err)
	}
}

func (h host) binary() string { return filepath.Join(h.binDir, "fairlead") }
func (h host) conf() string   { return filepath.Join(h.confDir, "10-fairlead.conflist") }

func checkFile(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(content, string(data)); diff != "" {
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

func TestInstall(t *testing.T) {
	h := newHost(t)
	old := syscall.Umask(0o077) // the modes must not depend on it
	h.install(t)
	syscall.Umask(old)
	checkFile(t, h.binary(), "program 1", 0o755)
	checkFile(t, h.conf(), wantConflist, 0o644)
	if diff := cmp.Diff([]string{"fairlead"}, names(t, h.binDir)); diff != "" {
		t.Errorf("left beside the program:\n%s", diff)
	}
}

func TestInstallAgainTouchesNothing(t *testing.T) {
	h := newHost(t)
	h.install(t)
	program, conf := inode(t, h.binary()), inode(t, h.conf())
	h.install(t)
	if inode(t, h.binary()) != program || inode(t, h.conf()) != conf {
		t.Error("files that were as they must be were written again")
	}
}

func TestInstallReplaces(t *testing.T) {
	h := newHost(t)
	h.install(t)
	running, err := os.Open(h.binary())
	if err != nil {
		t.Fatal(err)
	}
	defer running.Close()
	h.setSource(t, "program 2")
	if err := os.Chmod(h.conf(), 0o600); err != nil { // unreadable to the runtime
		t.Fatal(err)
	}
	h.install(t)
	checkFile(t, h.binary(), "program 2", 0o755)
	checkFile(t, h.conf(), wantConflist, 0o644)
	before := make([]byte, 9)
	if _, err := running.Read(before); err != nil || string(before) != "program 1" {
		t.Errorf("the file that was running reads %q, %v", before, err)
	}
}

// A reader never sees a part of a file, however many install at once.
func TestInstallIsAtomic(t *testing.T) {
	h := newHost(t)
	long := strings.Repeat("x", 1<<20)
	h.setSource(t, long)
	h.install(t)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			source := filepath.Join(filepath.Dir(h.source), string(rune('a'+i)))
			if err := os.WriteFile(source, []byte(strings.Repeat(string(rune('a'+i)), 1<<20)), 0o600); err != nil {
				t.Error(err)
			}
			for range 5 {
				if err := install.Binary(source, h.binDir); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 50 {
		data, err := os.ReadFile(h.binary())
		if err != nil {
			t.Fatal(err)
		}
		if len(data) != 1<<20 || strings.Count(string(data), string(data[:1])) != 1<<20 {
			t.Fatal("saw a file that is not whole")
		}
	}
	wg.Wait()
	if diff := cmp.Diff([]string{"fairlead"}, names(t, h.binDir)); diff != "" {
		t.Errorf("left beside the program:\n%s", diff)
	}
}

func TestInstallWithoutSourceLeavesTheNodeNotReady(t *testing.T) {
	h := newHost(t)
	if err := os.Remove(h.source); err != nil {
		t.Fatal(err)
	}
	err := install.Install(h.source, h.binDir, h.confDir, install.Conf{RunDir: "/run/fairlead"})
	if err == nil || !strings.Contains(err.Error(), h.source) {
		t.Errorf("error does not name the source: %v", err)
	}
	if _, err := os.Stat(h.conf()); err == nil {
		t.Error("there is a configuration that names a program that is not there")
	}
}

func TestRemove(t *testing.T) {
	h := newHost(t)
	h.install(t)
	others := []string{filepath.Join(h.binDir, "loopback"), filepath.Join(h.confDir, "99-other.conf")}
	left := filepath.Join(h.binDir, ".fairlead.new-123") // of an Install that was killed
	for _, path := range append(others, left) {
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
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
	if err := install.Remove(filepath.Join(h.binDir, "none"), filepath.Join(h.confDir, "none")); err != nil {
		t.Errorf("folders that are not there: %v", err)
	}
}

// libcni finds our configuration in the folder, and all of it is understood.
func TestConflistIsReadByLibcni(t *testing.T) {
	h := newHost(t)
	if err := install.Configuration(h.confDir, install.Conf{RunDir: "/run/other", MTU: 9000}); err != nil {
		t.Fatal(err)
	}
	files, err := libcni.ConfFiles(h.confDir, []string{".conf", ".conflist", ".json"})
	if err != nil || len(files) != 1 {
		t.Fatalf("configurations found: %v, %v", files, err)
	}
	list, err := libcni.NetworkConfFromFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if list.Name != "fairlead" || list.CNIVersion != "1.1.0" || len(list.Plugins) != 1 {
		t.Errorf("libcni read %+v", list)
	}
	if got := list.Plugins[0].Network.Type; got != cniplugin.Type {
		t.Errorf("type is %q, the plugin is %q", got, cniplugin.Type)
	}
	if got := string(list.Plugins[0].Bytes); !strings.Contains(got, `"runDir":"/run/other"`) || !strings.Contains(got, `"mtu":9000`) {
		t.Errorf("plugin's part is %s", got)
	}
}
