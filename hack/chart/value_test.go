package chart

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// schema of one value, as far as the tests look at it.
type schema struct {
	Properties map[string]schema `json:"properties"`
}

func chartSchema(t *testing.T) schema {
	t.Helper()
	var s schema
	if err := json.Unmarshal([]byte(read(t, filepath.Join(dir, "values.schema.json"))), &s); err != nil {
		t.Fatal(err)
	}
	delete(s.Properties, "global") // Helm's own
	return s
}

// leaves are the paths of all values: what has no further properties in the schema.
func (s schema) leaves(path ...string) [][]string {
	if len(s.Properties) == 0 {
		return [][]string{path}
	}
	var out [][]string
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		out = append(out, s.Properties[name].leaves(append(slices.Clone(path), name)...)...)
	}
	return out
}

func parse(t *testing.T, path string) map[string]any {
	t.Helper()
	values := map[string]any{}
	if err := yaml.Unmarshal([]byte(read(t, path)), &values); err != nil {
		t.Fatal(err)
	}
	return values
}

// lookup returns the value at path.
func lookup(values map[string]any, path []string) (any, bool) {
	v, ok := values[path[0]]
	if !ok || len(path) == 1 {
		return v, ok
	}
	below, ok := v.(map[string]any)
	if !ok {
		return nil, false
	}
	return lookup(below, path[1:])
}

// without is values less the one at path.
func without(values map[string]any, path []string) map[string]any {
	out := maps.Clone(values)
	if len(path) == 1 {
		delete(out, path[0])
		return out
	}
	out[path[0]] = without(out[path[0]].(map[string]any), path[1:])
	return out
}

// TestSchemaIsComplete: every value that values.yaml documents has a schema, and no
// schema is of a value that is not there. Settings are documented elsewhere.
func TestSchemaIsComplete(t *testing.T) {
	documented := parse(t, filepath.Join(dir, "values.yaml"))
	for _, path := range chartSchema(t).leaves() {
		if i := slices.Index(path, "settings"); i >= 0 {
			path = path[:i+1]
		}
		if len(path) == 3 && path[1] == "seLinuxOptions" {
			path = path[:2] // as Kubernetes has them
		}
		if _, ok := lookup(documented, path); !ok {
			t.Errorf("%s has a schema and is not in values.yaml", strings.Join(path, "."))
		}
	}
	if err := fits(documented, chartSchema(t), ""); err != nil {
		t.Error(err)
	}
}

// fits says what of values the schema does not have.
func fits(values map[string]any, s schema, path string) error {
	for name, v := range values {
		of, ok := s.Properties[name]
		if !ok {
			return fmt.Errorf("%s%s is in values.yaml and has no schema", path, name)
		}
		if below, isMap := v.(map[string]any); isMap && len(of.Properties) > 0 {
			if err := fits(below, of, path+name+"."); err != nil {
				return err
			}
		}
	}
	return nil
}

// TestEveryValueCounts: each value is set in one of our files to something that is
// not its default, and what is rendered is another without it.
func TestEveryValueCounts(t *testing.T) {
	whole := map[string]string{}
	ours := files(t, "testdata/*.yaml")
	for _, file := range ours {
		out, err := template(t, "-f", file)
		if err != nil {
			t.Fatalf("%s: %s", file, out)
		}
		whole[file] = out
	}
	for _, path := range chartSchema(t).leaves() {
		t.Run(strings.Join(path, "."), func(t *testing.T) {
			t.Parallel()
			for _, file := range ours {
				values := parse(t, file)
				if _, set := lookup(values, path); !set {
					continue
				}
				text, err := yaml.Marshal(without(values, path))
				if err != nil {
					t.Fatal(err)
				}
				// Without it the rest may be refused: then it counts, too.
				if out, err := template(t, "-f", write(t, text)); err != nil || !cmp.Equal(out, whole[file]) {
					return
				}
			}
			t.Error("no file in testdata sets it so that it is seen in what the chart renders")
		})
	}
}
