package v1alpha1_test

import (
	"testing"

	"sigs.k8s.io/yaml"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/config/crd"
)

// TestLimitsAreTheSchemas holds the limits that code goes by to those of the API server.
func TestLimitsAreTheSchemas(t *testing.T) {
	for _, c := range []struct {
		file string
		path []string
		want float64
	}{
		{"addressplans", []string{"spec", "entries", "maxItems"}, v1alpha1.MaxPlanEntries},
		{"ippools", []string{"spec", "maxBlocksPerNode", "maximum"}, v1alpha1.MaxBlocksPerNode},
		{"nodestates", []string{"status", "sessions", "maxItems"}, v1alpha1.MaxSessions},
		{"nodestates", []string{"status", "blocks", "maxItems"}, v1alpha1.MaxBlocks},
		{"nodestates", []string{"status", "releasedBlocks", "maxItems"}, v1alpha1.MaxReleasedBlocks},
		{"nodestates", []string{"status", "wantedBlocks", "maxItems"}, v1alpha1.MaxWantedBlocks},
	} {
		at := schema(t, c.file)
		for i, name := range c.path {
			if i < len(c.path)-1 {
				properties, _ := at["properties"].(map[string]any)
				at, _ = properties[name].(map[string]any)
			} else if at[name] != c.want {
				t.Errorf("%s %v is %v in the schema, %v in the code", c.file, c.path, at[name], c.want)
			}
		}
	}
}

func schema(t *testing.T, plural string) map[string]any {
	t.Helper()
	text, err := crd.FS.ReadFile("fairlead.dev_" + plural + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	var definition struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema map[string]any `json:"openAPIV3Schema"`
				} `json:"schema"`
			} `json:"versions"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(text, &definition); err != nil {
		t.Fatal(err)
	}
	return definition.Spec.Versions[0].Schema.OpenAPIV3Schema
}
