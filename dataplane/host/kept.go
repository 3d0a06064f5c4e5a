package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// values are the sysctl values from before Fairlead, in the order in which they
// were changed, the file that has them, and where they were read.
type values struct {
	sysctlDir
	file   string
	values []value
}

// value is one of them.
type value struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func load(dir, file string) (*values, error) {
	v := &values{sysctlDir: sysctlDir(dir), file: file}
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return v, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load kept sysctls: %w", err)
	}
	if err := json.Unmarshal(b, &v.values); err != nil {
		return nil, fmt.Errorf("load kept sysctls: %s: %w", file, err)
	}
	for _, kept := range v.values {
		if !filepath.IsLocal(kept.Name) {
			return nil, fmt.Errorf("load kept sysctls: %s: %q is not the name of one", file, kept.Name)
		}
	}
	return v, nil
}

// forwarding is what a link's forwarding was before Fairlead: the kept value; on
// a link that came later, and took ours from the default, the default's; or else
// what is there. The folder is that of the link's settings.
func (v *values) forwarding(folder string) (string, error) {
	for _, of := range []string{folder, filepath.Join(filepath.Dir(folder), "default")} {
		if i := v.index(filepath.Join(of, "forwarding")); i >= 0 {
			return v.values[i].Value, nil
		}
	}
	return v.read(filepath.Join(folder, "forwarding"))
}

func (v *values) index(name string) int {
	return slices.IndexFunc(v.values, func(kept value) bool { return kept.Name == name })
}

// keep puts the present values of those not kept yet on disk. Restore goes
// backwards: the last of names, which the kernel changes along with the first,
// is to come after it there, so names are kept in reverse.
func (v *values) keep(names []string) error {
	known := len(v.values)
	for _, name := range slices.Backward(names) {
		if v.index(name) >= 0 {
			continue
		}
		found, err := v.read(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a link that went in between
		}
		if err != nil {
			return err
		}
		v.values = append(v.values, value{Name: name, Value: found})
	}
	if len(v.values) == known {
		return nil
	}
	return v.store()
}

// store writes the whole file or nothing of it.
func (v *values) store() error {
	b, err := json.MarshalIndent(v.values, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(v.file), filepath.Base(v.file)+".*")
	if err != nil {
		return fmt.Errorf("keep sysctls: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already if all went well
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("keep sysctls: %w", err)
	}
	if err := os.Rename(f.Name(), v.file); err != nil {
		return fmt.Errorf("keep sysctls: %w", err)
	}
	return nil
}

func (v *values) remove() error {
	if err := os.Remove(v.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget kept sysctls: %w", err)
	}
	return nil
}
