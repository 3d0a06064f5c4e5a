package kube_test

import (
	"os"
	"path/filepath"
	"testing"
)

// The samples are what a user starts from: each works as it is, and each kind
// that users write has one.
func TestSamples(t *testing.T) {
	c := admin(t)
	files, err := filepath.Glob("../../../config/samples/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range manifestsOf(t, string(text)) {
			kinds[o.GetKind()] = true
			// Not by server-side apply: an unknown field is to be an error.
			kubectlIn(t, jsonOf(t, o), "create", "--validate=strict", "-f", "-")
			removeAfter(t, c, o)
		}
	}
	for _, kind := range []string{"IPPool", "BGPConfiguration", "BGPPeer"} {
		if !kinds[kind] {
			t.Errorf("no sample of %s", kind)
		}
	}
}
