package cluster

import (
	"os"
	"path/filepath"
	"testing"

	"fairlead.dev/hack/lab/cluster"
)

// imageFile is set once, before any test.
var imageFile string

// TestMain removes the image that all clusters here share.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "fairlead-cluster-")
	if err != nil {
		panic(err)
	}
	imageFile = filepath.Join(dir, "fairlead.tar")
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// image is Fairlead's, built from the tree once.
func image(t *testing.T) string {
	t.Helper()
	if given := os.Getenv(cluster.ImageEnv); given != "" {
		return given
	}
	if _, err := os.Stat(imageFile); err != nil {
		if err := cluster.BuildImage(t.Context(), imageFile, cluster.Tag); err != nil {
			t.Fatal(err)
		}
	}
	return imageFile
}
