// Package install puts the CNI plugin and its configuration where a container
// runtime finds them, and takes them away again.
//
// Invariants: a file is never seen half written, also not after a power cut; one
// that is as it must be is not touched, so that runtimes which watch the folder
// are not woken; the program is there before the configuration that names it,
// and goes after it; no file of anyone else is changed.
package install

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Names of the two files. Of several configurations a runtime takes the first
// by name, and 10 is where network providers begin.
const (
	BinaryName = "fairlead" // the type in the configuration: see cniplugin.Type
	ConfName   = "10-fairlead.conflist"
)

// tempPattern names unfinished files: hidden, and of no extension that a runtime
// reads. The star stands for random digits.
const tempPattern = ".%s.new-*"

const (
	binaryMode = 0o755
	confMode   = 0o644
)

// Conf is what the network configuration tells the plugin.
type Conf struct {
	// RunDir is the agent's run directory, an absolute path.
	RunDir string
	// MTU of pods' links; 0 means that of the node's uplinks.
	MTU uint32
}

// Conflist renders the network configuration list.
func (c Conf) Conflist() ([]byte, error) {
	type plugin struct {
		Type   string `json:"type"`
		RunDir string `json:"runDir"`
		MTU    uint32 `json:"mtu,omitempty"`
	}
	// Runtimes before 1.1.0 of the specification know only cniVersion.
	list := struct {
		CNIVersion  string   `json:"cniVersion"`
		CNIVersions []string `json:"cniVersions"`
		Name        string   `json:"name"`
		Plugins     []plugin `json:"plugins"`
	}{"1.0.0", []string{"0.4.0", "1.0.0", "1.1.0"}, "fairlead", []plugin{{BinaryName, c.RunDir, c.MTU}}}
	data, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("render network configuration: %w", err)
	}
	return append(data, '\n'), nil
}

// Install puts the program, a copy of the file source, into binDir and then the
// configuration into confDir. Folders that are missing are made.
func Install(source, binDir, confDir string, c Conf) error {
	if err := Binary(source, binDir); err != nil {
		return err
	}
	return Configuration(confDir, c)
}

// Binary installs the program alone. A plugin that is running goes on with the
// file that it was started from.
func Binary(source, binDir string) error {
	data, err := os.ReadFile(source)
	if err != nil {
		return fmt.Errorf("install CNI plugin: %w", err)
	}
	return place(binDir, BinaryName, data, binaryMode)
}

// Configuration installs the configuration alone: from then on the node is Ready.
func Configuration(confDir string, c Conf) error {
	data, err := c.Conflist()
	if err != nil {
		return err
	}
	return place(confDir, ConfName, data, confMode)
}

// Remove takes away both files and what a killed Install may have left. What is
// not there is success.
func Remove(binDir, confDir string) error {
	return errors.Join(remove(confDir, ConfName), remove(binDir, BinaryName))
}

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
