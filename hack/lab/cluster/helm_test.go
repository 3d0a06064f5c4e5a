package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMerge(t *testing.T) {
	base := map[string]any{"image": map[string]any{"tag": "lab", "pullPolicy": "Never"}, "replicas": 2}
	got := merge(base, map[string]any{"image": map[string]any{"tag": "next"}, "agent": map[string]any{}})
	want := map[string]any{"image": map[string]any{"tag": "next", "pullPolicy": "Never"}, "replicas": 2, "agent": map[string]any{}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if tag := base["image"].(map[string]any)["tag"]; tag != "lab" {
		t.Errorf("the values laid under have changed: tag %v", tag)
	}
}
