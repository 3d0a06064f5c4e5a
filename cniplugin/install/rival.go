package install

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/containernetworking/cni/libcni"
)

// Matters says whether a file of that name in the folder of configurations may
// change what a Keeper finds.
func Matters(name string) bool {
	return name <= ConfName && slices.Contains(extensions(), filepath.Ext(name))
}

// extensions are those of the files that runtimes read.
func extensions() []string { return []string{".conf", ".conflist", ".json"} }

// Rival is a configuration of somebody else's that runtimes take before ours.
type Rival struct {
	// Name of the file.
	Name string
	// Broken is why no runtime can read it. Some then use none at all, others
	// the next one.
	Broken error
}

func (r Rival) equal(other Rival) bool {
	return r.Name == other.Name && fmt.Sprint(r.Broken) == fmt.Sprint(other.Broken)
}

// rivals are the rivals in dir, by name. One that passes pods on to us is none.
func rivals(dir string) ([]Rival, error) {
	// What runtimes read, in the order in which they do: os.ReadDir sorts.
	paths, err := libcni.ConfFiles(dir, extensions())
	if err != nil {
		return nil, fmt.Errorf("list CNI configurations: %w", err)
	}
	var found []Rival
	for _, path := range paths {
		name := filepath.Base(path)
		if name >= ConfName {
			break
		}
		data, err := os.ReadFile(path)
		if err != nil {
			// Gone since, or a link that leads out of what a container sees.
			if _, err := os.Lstat(path); err == nil {
				found = append(found, Rival{Name: name})
			}
			continue
		}
		if broken := parse(path, data); broken != nil || !delegates(data) {
			found = append(found, Rival{name, broken})
		}
	}
	return found, nil
}

func parse(path string, data []byte) error {
	if filepath.Ext(path) == ".conflist" {
		_, err := libcni.NetworkConfFromFile(path)
		return err
	}
	_, err := libcni.NetworkPluginConfFromBytes(data)
	return err
}

// delegates says whether a configuration holds ours, or names its file, as that
// of Multus does.
func delegates(data []byte) bool {
	var doc any
	return json.Unmarshal(data, &doc) == nil && mentions(doc)
}

func mentions(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		if v["type"] == BinaryName {
			return true
		}
		for _, inner := range v {
			if mentions(inner) {
				return true
			}
		}
	case []any:
		for _, inner := range v {
			if mentions(inner) {
				return true
			}
		}
	case string:
		return filepath.Base(v) == ConfName
	}
	return false
}
