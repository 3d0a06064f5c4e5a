package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// made is every file's time: the image's digest must not depend on the clock.
func made() time.Time { return time.Unix(0, 0).UTC() }

// newImage puts the programs of the folder bin into one layer.
func newImage(bin, arch, version string) (v1.Image, error) {
	content, err := layer(bin)
	if err != nil {
		return nil, err
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, fmt.Errorf("make layer: %w", err)
	}
	img, err := mutate.Append(mutate.MediaType(empty.Image, types.OCIManifestSchema1),
		mutate.Addendum{Layer: l, History: v1.History{Created: v1.Time{Time: made()}, CreatedBy: "hack/image"}})
	if err != nil {
		return nil, fmt.Errorf("append layer: %w", err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Created = "linux", arch, v1.Time{Time: made()}
	file.Config = v1.Config{
		// kubectl exec and the chart name the programs; there is no shell.
		Env:        []string{"PATH=/bin"},
		Entrypoint: []string{"/bin/fairlead"},
		WorkingDir: "/",
		// Nobody. The agent, whose node's folders are root's, is made root by the chart.
		User: "65532:65532",
		Labels: map[string]string{
			"org.opencontainers.image.title":       "fairlead",
			"org.opencontainers.image.description": "BGP routing control plane for Kubernetes",
			"org.opencontainers.image.url":         "https://fairlead.dev",
			"org.opencontainers.image.version":     version,
			"org.opencontainers.image.licenses":    "Apache-2.0",
		},
	}
	img, err = mutate.ConfigFile(img, file)
	if err != nil {
		return nil, fmt.Errorf("set configuration: %w", err)
	}
	return mutate.ConfigMediaType(img, types.OCIConfigJSON), nil
}

// layer is a tar of /bin with the programs, root's, by name.
func layer(bin string) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "bin/", Mode: 0o755, ModTime: made(), Format: tar.FormatUSTAR}); err != nil {
		return nil, fmt.Errorf("write layer: %w", err)
	}
	for _, p := range programs() {
		content, err := os.ReadFile(filepath.Join(bin, p))
		if err != nil {
			return nil, fmt.Errorf("read program: %w", err)
		}
		h := &tar.Header{Typeflag: tar.TypeReg, Name: "bin/" + p, Mode: 0o755, Size: int64(len(content)), ModTime: made(), Format: tar.FormatUSTAR}
		if err := w.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("write layer: %w", err)
		}
		if _, err := w.Write(content); err != nil {
			return nil, fmt.Errorf("write layer: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("write layer: %w", err)
	}
	return b.Bytes(), nil
}
