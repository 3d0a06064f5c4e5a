package runtime

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"runtime"
	"testing"
)

// image is the one of all containers: the actor, and nothing else.
const image = "fairlead.test/actor:1"

// writeImage writes an OCI image layout, as a tar, of one uncompressed layer.
func writeImage(t *testing.T, path, actor string) {
	t.Helper()
	program, err := os.ReadFile(actor)
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	blobs := tarOf(t, map[string][]byte{"actor": program}, 0o755)
	files := map[string][]byte{}
	put := func(mediaType string, content []byte) map[string]any {
		sum := sha256.Sum256(content)
		digest := hex.EncodeToString(sum[:])
		files["blobs/sha256/"+digest] = content
		return map[string]any{"mediaType": mediaType, "digest": "sha256:" + digest, "size": len(content)}
	}
	marshal := func(v any) []byte {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	const oci = "application/vnd.oci.image."
	layer := put(oci+"layer.v1.tar", blobs)
	config := put(oci+"config.v1+json", marshal(map[string]any{
		"os": "linux", "architecture": runtime.GOARCH,
		"config": map[string]any{"Entrypoint": []string{"/actor", "pause"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []any{layer["digest"]}},
	}))
	manifest := put(oci+"manifest.v1+json", marshal(map[string]any{
		"schemaVersion": 2, "mediaType": oci + "manifest.v1+json", "config": config, "layers": []any{layer},
	}))
	manifest["annotations"] = map[string]string{"io.containerd.image.name": image}
	files["oci-layout"] = marshal(map[string]string{"imageLayoutVersion": "1.0.0"})
	files["index.json"] = marshal(map[string]any{"schemaVersion": 2, "manifests": []any{manifest}})
	archive.Write(tarOf(t, files, 0o644))
	if err := os.WriteFile(path, archive.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

func tarOf(t *testing.T, files map[string][]byte, mode int64) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, content := range files {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
