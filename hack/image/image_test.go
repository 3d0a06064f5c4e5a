package main

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// archive writes an image of stand-in programs for both architectures.
func archive(t *testing.T) (path, digest string) {
	t.Helper()
	dir := t.TempDir()
	var images []platformImage
	for _, arch := range []string{"amd64", "arm64"} {
		bin := filepath.Join(dir, arch)
		if err := os.Mkdir(bin, 0o755); err != nil {
			t.Fatal(err)
		}
		for i, p := range programs() {
			path := filepath.Join(bin, p)
			if err := os.WriteFile(path, []byte(arch+" "+p), 0o700); err != nil {
				t.Fatal(err)
			}
			// Neither the clock nor the folder's order may be seen in the image.
			if err := os.Chtimes(path, time.Now(), time.Now().Add(time.Duration(i)*time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		img, err := newImage(bin, arch, "1.2.3")
		if err != nil {
			t.Fatal(err)
		}
		images = append(images, platformImage{img, arch, []byte(`{"of": "` + arch + `"}`)})
	}
	path = filepath.Join(dir, "out", "image.tar")
	hash, err := writeArchive(path, "example.org/fairlead:1.2.3", images, filepath.Join(dir, "layout"))
	if err != nil {
		t.Fatal(err)
	}
	return path, hash.String()
}

func TestSameBytes(t *testing.T) {
	first, digest := archive(t)
	second, again := archive(t)
	if digest != again {
		t.Errorf("digests %s and %s", digest, again)
	}
	a, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(second)
	if err != nil {
		t.Fatal(err)
	}
	if sha256.Sum256(a) != sha256.Sum256(b) {
		t.Error("two archives of the same programs differ")
	}
}

func TestArchive(t *testing.T) {
	path, digest := archive(t)
	dir := t.TempDir()
	unpack(t, path, dir)
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	top, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(top.Manifests) != 1 || top.Manifests[0].Digest.String() != digest {
		t.Fatalf("the layout holds %v, want one index %s", top.Manifests, digest)
	}
	if name := top.Manifests[0].Annotations["io.containerd.image.name"]; name != "example.org/fairlead:1.2.3" {
		t.Errorf("image name %q", name)
	}
	images, err := index.ImageIndex(top.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := images.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if n := len(manifest.Manifests); n != 4 {
		t.Fatalf("%d manifests, want one for each architecture and one about each", n)
	}
	for i, arch := range []string{"amd64", "arm64"} {
		checkAttestation(t, images, manifest.Manifests[i+2], arch, manifest.Manifests[i].Digest)
		m := manifest.Manifests[i]
		if m.Platform.Architecture != arch || m.Platform.OS != "linux" {
			t.Errorf("image %d is for %v, want %s", i, m.Platform, arch)
		}
		img, err := images.Image(m.Digest)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Image(img); err != nil {
			t.Errorf("image for %s: %v", arch, err)
		}
		config, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if config.Architecture != arch || !slices.Equal(config.Config.Env, []string{"PATH=/bin"}) || config.Config.User != "65532:65532" {
			t.Errorf("configuration %+v", config)
		}
		content := mutate.Extract(img)
		defer content.Close()
		checkFiles(t, arch, files(t, content))
	}
}

// checkAttestation reads the SBOM of one image from the manifest about it.
func checkAttestation(t *testing.T, index v1.ImageIndex, about v1.Descriptor, arch string, of v1.Hash) {
	t.Helper()
	if p := about.Platform; p.OS != "unknown" || p.Architecture != "unknown" || about.Annotations["vnd.docker.reference.digest"] != of.String() {
		t.Errorf("attestation for %v of %v, want %s and no platform", p, about.Annotations, of)
	}
	img, err := index.Image(about.Digest)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := img.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, error %v", len(layers), err)
	}
	content, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	var statement struct {
		Subject   []struct{ Digest map[string]string }
		Predicate struct{ Of string }
	}
	if err := json.NewDecoder(content).Decode(&statement); err != nil {
		t.Fatal(err)
	}
	if len(statement.Subject) != 1 || statement.Subject[0].Digest["sha256"] != of.Hex || statement.Predicate.Of != arch {
		t.Errorf("statement %+v, want one on %s of %s", statement, of, arch)
	}
}

func checkFiles(t *testing.T, arch string, got map[string]string) {
	t.Helper()
	want := map[string]string{"bin/": "0:0 755 "}
	for _, p := range programs() {
		want["bin/"+p] = "0:0 755 " + arch + " " + p
	}
	// mutate.Extract drops the folder's slash.
	if v, ok := got["bin"]; ok {
		got["bin/"] = v
		delete(got, "bin")
	}
	if !maps.Equal(got, want) {
		t.Errorf("files of %s: %v, want %v", arch, got, want)
	}
}

// files lists owner, mode and content of everything in a tar.
func files(t *testing.T, r io.Reader) map[string]string {
	t.Helper()
	found := map[string]string{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		found[h.Name] = fmt.Sprintf("%d:%d %o %s", h.Uid, h.Gid, h.Mode, content)
	}
}

func unpack(t *testing.T, path, dir string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for name, text := range files(t, f) {
		target := filepath.Join(dir, filepath.Clean("/"+name))
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			t.Fatal(err)
		}
		_, content, _ := strings.Cut(text, " 644 ")
		if err := os.WriteFile(target, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var check struct{ ImageLayoutVersion string }
	raw, err := os.ReadFile(filepath.Join(dir, "oci-layout"))
	if err != nil || json.Unmarshal(raw, &check) != nil || check.ImageLayoutVersion != "1.0.0" {
		t.Errorf("oci-layout %q: %v", raw, err)
	}
}
