package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// A tree is the files of a layer by their path, which starts without a slash.
// Folders that only hold others need not be named.
type tree map[string]node

type node struct {
	kind    byte // of archive/tar
	mode    int64
	content []byte
	target  string // of a link
}

func dir(mode int64) node        { return node{kind: tar.TypeDir, mode: mode} }
func symlink(target string) node { return node{kind: tar.TypeSymlink, mode: 0o777, target: target} }

func text(content string) node      { return node{kind: tar.TypeReg, mode: 0o644, content: []byte(content)} }
func made() time.Time               { return time.Unix(0, 0).UTC() } // the same files give the same image
func (t tree) has(name string) bool { _, ok := t[name]; return ok }

// copy puts this machine's file there, with its right to be executed.
func (t tree) copy(name, from string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("copy into image: %w", err)
	}
	stat, err := os.Stat(from)
	if err != nil {
		return fmt.Errorf("copy into image: %w", err)
	}
	mode := int64(0o644)
	if stat.Mode()&0o111 != 0 {
		mode = 0o755
	}
	t[name] = node{kind: tar.TypeReg, mode: mode, content: content}
	return nil
}

// layer is a tar of the tree, root's, parents first.
func (t tree) layer() (v1.Layer, error) {
	all := maps.Clone(t)
	for name := range t {
		for p := path.Dir(name); p != "."; p = path.Dir(p) {
			if !all.has(p) {
				all[p] = dir(0o755)
			}
		}
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		n := all[name]
		h := &tar.Header{Typeflag: n.kind, Name: name, Linkname: n.target, Mode: n.mode, Size: int64(len(n.content)), ModTime: made()}
		if n.kind == tar.TypeDir {
			h.Name += "/"
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("write layer: %w", err)
		}
		if _, err := w.Write(n.content); err != nil {
			return nil, fmt.Errorf("write layer: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("write layer: %w", err)
	}
	return static.NewLayer(b.Bytes(), types.OCIUncompressedLayer), nil
}
