package install

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// tempPattern names unfinished files: hidden, and of no extension that a runtime
// reads. The star stands for random digits.
const tempPattern = ".%s.new-*"

func remove(dir, name string) error {
	left, err := filepath.Glob(filepath.Join(dir, fmt.Sprintf(tempPattern, name)))
	if err != nil {
		return err
	}
	for _, path := range append(left, filepath.Join(dir, name)) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("uninstall: %w", err)
		}
	}
	if err := syncDir(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// place writes a file of that content and mode, unless it is there.
func place(dir, name string, data []byte, mode fs.FileMode) error {
	path := filepath.Join(dir, name)
	if same(path, data, mode) {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("install %s: %w", path, err)
	}
	temp, err := os.CreateTemp(dir, fmt.Sprintf(tempPattern, name))
	if err != nil {
		return fmt.Errorf("install %s: %w", path, err)
	}
	defer os.Remove(temp.Name()) // gone already if all went well
	err = errors.Join(fill(temp, data, mode), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("install %s: %w", path, err)
	}
	return nil
}

func same(path string, data []byte, mode fs.FileMode) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != mode {
		return false
	}
	have, err := os.ReadFile(path)
	return err == nil && bytes.Equal(have, data)
}

// fill writes and syncs: a rename may reach the disk before the data does.
func fill(f *os.File, data []byte, mode fs.FileMode) error {
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil { // whatever the umask
		return err
	}
	return f.Sync()
}

// syncDir makes a rename or removal in the folder last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
