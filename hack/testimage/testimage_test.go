package main

import (
	"archive/tar"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// TestUserLand runs what upstream's tests run, in the image's files alone.
func TestUserLand(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("needs root")
		}
		t.Skip("needs root, for chroot")
	}
	files, err := userLand(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		write(t, filepath.Join(root, name), files[name])
	}
	for _, c := range []struct{ script, want string }{
		{"getent passwd 1000", "user-defined-in-image:x:1000:1000::/home:/bin/sh"},
		{"dig -v 2>&1", "DiG "},
		{"curl --version", "curl "},
		{"nc -h 2>&1", "OpenBSD netcat"},
		{"ss -V", "ss utility"},
		{"/usr/sbin/ip -V", "ip utility"},
		{"bash -c 'echo ${BASH_VERSION:?}'", "5."},
		{"seq 3 | awk '{s+=$1} END {print s}'", "6"},
	} {
		cmd := exec.CommandContext(t.Context(), "chroot", root, "/bin/sh", "-c", c.script)
		cmd.Env = []string{searchPath}
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%s: %v, %q, want %q", c.script, err, out, c.want)
		}
	}
}

func TestArchives(t *testing.T) {
	bin := t.TempDir()
	for _, name := range []string{"pause", "coredns", "agnhost", "localhost.crt", "localhost.key"} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	out := t.TempDir()
	if err := run(t.Context(), []string{"-bin", bin, "-certs", bin, "-o", out}); err != nil {
		t.Fatal(err)
	}
	got := map[string]v1.Config{}
	for _, file := range []string{"pause.tar", "coredns.tar", "agnhost.tar"} {
		dir := filepath.Join(t.TempDir(), file)
		unpack(t, filepath.Join(out, file), dir)
		index, err := layout.ImageIndexFromPath(dir)
		if err != nil {
			t.Fatal(err)
		}
		manifest, err := index.IndexManifest()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range manifest.Manifests {
			img, err := index.Image(m.Digest)
			if err != nil {
				t.Fatal(err)
			}
			config, err := img.ConfigFile()
			if err != nil {
				t.Fatal(err)
			}
			name := m.Annotations["io.containerd.image.name"]
			got[name] = config.Config
			if len(config.Config.Entrypoint) > 0 {
				checkEntrypoint(t, name, img, config.Config.Entrypoint[0])
			}
		}
	}
	want := map[string]string{
		"registry.k8s.io/pause:3.10.1":                        "[/pause] []",
		"registry.k8s.io/coredns/coredns:v1.13.1":             "[/coredns] []",
		"registry.k8s.io/e2e-test-images/agnhost:2.59":        "[/agnhost] [pause]",
		"registry.k8s.io/e2e-test-images/agnhost:2.55":        "[/agnhost] [pause]",
		"registry.k8s.io/e2e-test-images/jessie-dnsutils:1.7": "[/agnhost] [pause]",
		"registry.k8s.io/e2e-test-images/busybox:1.37.0-1":    "[] [sh]",
	}
	for name, run := range want {
		if c := got[name]; fmt.Sprint(c.Entrypoint, c.Cmd) != run {
			t.Errorf("%s runs %v %v, want %s", name, c.Entrypoint, c.Cmd, run)
		}
	}
	if len(got) != len(want) {
		t.Errorf("images %v", slices.Sorted(maps.Keys(got)))
	}
}

// checkEntrypoint wants the stand-in program there, and executable.
func checkEntrypoint(t *testing.T, name string, img v1.Image, program string) {
	t.Helper()
	content := mutate.Extract(img)
	defer content.Close()
	for tr := tar.NewReader(content); ; {
		h, err := tr.Next()
		if err != nil {
			t.Errorf("%s: look for %s: %v", name, program, err)
			return
		}
		if "/"+h.Name != program {
			continue
		}
		text, err := io.ReadAll(tr)
		if err != nil || "/"+string(text) != program || h.Mode&0o111 == 0 {
			t.Errorf("%s: %s holds %q with mode %o (%v)", name, program, text, h.Mode, err)
		}
		return
	}
}

func unpack(t *testing.T, archive, dir string) {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for tr := tar.NewReader(f); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		if digest := fmt.Sprintf("%x", sha256.Sum256(content)); path.Dir(h.Name) == "blobs/sha256" && path.Base(h.Name) != digest {
			t.Errorf("%s: %s holds what has digest %s", archive, h.Name, digest)
		}
		write(t, filepath.Join(dir, h.Name), node{kind: h.Typeflag, mode: 0o644, content: content})
	}
}

func write(t *testing.T, file string, n node) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(file), 0o755)
	switch {
	case err != nil:
	case n.kind == tar.TypeDir:
		err = os.MkdirAll(file, os.FileMode(n.mode))
	case n.kind == tar.TypeSymlink:
		err = os.Symlink(n.target, file)
	default:
		err = os.WriteFile(file, n.content, os.FileMode(n.mode))
	}
	if err != nil {
		t.Fatal(err)
	}
}
