package config

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// TestChartSchema holds the chart's values.schema.json to the settings, all but
// those that the chart itself sets.
func TestChartSchema(t *testing.T) {
	raw, err := os.ReadFile("../charts/fairlead/values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	type settings struct {
		Properties map[string]struct{ Type string } `json:"properties"`
	}
	type component struct {
		Properties struct {
			Settings settings `json:"settings"`
		} `json:"properties"`
	}
	var schema struct {
		Properties struct{ Controller, Agent component } `json:"properties"`
	}
	if err := json.Unmarshal(raw, &schema); err != nil {
		t.Fatal(err)
	}
	controller, agent := DefaultController(), DefaultAgent()
	for name, c := range map[string]struct {
		cfg Settings
		got component
	}{
		"controller": {&controller, schema.Properties.Controller},
		"agent":      {&agent, schema.Properties.Agent},
	} {
		byKey := flagsByKey(flagSet(name, c.cfg))
		maps.DeleteFunc(byKey, func(key string, _ *pflag.Flag) bool {
			return slices.Contains([]string{"kubeconfig", "namespace", "nodeName", "sysctlDir"}, key)
		})
		want := slices.Sorted(maps.Keys(byKey))
		if diff := cmp.Diff(want, slices.Sorted(maps.Keys(c.got.Properties.Settings.Properties))); diff != "" {
			t.Errorf("settings of %s in values.schema.json (-want +got):\n%s", name, diff)
		}
	}
}
