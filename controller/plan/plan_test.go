package plan_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"fairlead.dev/controller/plan"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden computes the plan of each testdata/NAME.snapshot.yaml and compares
// it with NAME.plan.yaml.
func TestGolden(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.snapshot.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no inputs: %v", err)
	}
	for _, input := range inputs {
		name := filepath.Base(input[:len(input)-len(".snapshot.yaml")])
		t.Run(name, func(t *testing.T) {
			got := render(t, read(t, input))
			golden := filepath.Join("testdata", name+".plan.yaml")
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("plan differs (-want +got); -update accepts it:\n%s", diff)
			}
		})
	}
}

func read(t *testing.T, file string) plan.Snapshot {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var s plan.Snapshot
	if err := yaml.UnmarshalStrict(data, &s); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return s
}

func render(t *testing.T, s plan.Snapshot) []byte {
	t.Helper()
	p, problems := plan.Compute(s)
	texts := []string{}
	for _, x := range problems {
		texts = append(texts, x.String())
	}
	data, err := json.Marshal(map[string]any{"plan": p, "problems": texts})
	if err != nil {
		t.Fatal(err)
	}
	out, err := yaml.JSONToYAML(data)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestSameInputSamePlan runs every input many times: a map's order must not show.
func TestSameInputSamePlan(t *testing.T) {
	inputs, _ := filepath.Glob("testdata/*.snapshot.yaml")
	for _, input := range inputs {
		s := read(t, input)
		first := string(render(t, s))
		for range 20 {
			if again := string(render(t, s)); again != first {
				t.Fatalf("%s: two plans of one snapshot:\n%s\n%s", input, first, again)
			}
		}
	}
}
