package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"fairlead.dev/hack/lab"
)

const cgroupRoot = "/sys/fs/cgroup"

// servicesCgroup is where a machine's own programs are; kubelet makes the pods' beside it.
const servicesCgroup = "init"

// cgroup is a machine's folder in each hierarchy, as kubelet is told of it.
func (m *Machine) cgroup() string { return "/" + lab.CgroupName(m.cluster.Instance) + "/" + m.Name }

// unified says that there is one hierarchy (cgroup v2), else one a controller.
func unified() bool {
	_, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers"))
	return err == nil
}

func hierarchies() ([]string, error) {
	if unified() {
		return []string{cgroupRoot}, nil
	}
	found, err := filepath.Glob(filepath.Join(cgroupRoot, "*", "cgroup.procs"))
	if err != nil {
		return nil, fmt.Errorf("list cgroup hierarchies: %w", err)
	}
	for i := range found {
		found[i] = filepath.Dir(found[i])
	}
	return found, nil
}

// cgroupsUsable says what containers need and this host does not give.
func cgroupsUsable() error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return fmt.Errorf("no cgroup hierarchy is mounted under %s, and containers need them", cgroupRoot)
	}
	for _, h := range all {
		if err := unix.Access(h, unix.W_OK); err != nil {
			return fmt.Errorf("cgroup hierarchy %s is not ours to make folders in, which machines need: %w", h, err)
		}
	}
	return nil
}

// makeCgroups makes the machine's folders, and returns the files by which a
// process gets into that of its own programs.
func (m *Machine) makeCgroups() ([]string, error) {
	all, err := hierarchies()
	if err != nil {
		return nil, err
	}
	var doors []string
	for _, h := range all {
		dir := h
		for level := range strings.SplitSeq(strings.Trim(m.cgroup(), "/")+"/"+servicesCgroup, "/") {
			if err := passDown(dir); err != nil {
				return nil, fmt.Errorf("make cgroups of %s: %w", m.Name, err)
			}
			parent := dir
			dir = filepath.Join(dir, level)
			if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
				return nil, fmt.Errorf("make cgroups of %s: %w", m.Name, err)
			}
			if unified() {
				continue
			}
			if err := inherit(parent, dir); err != nil {
				return nil, fmt.Errorf("make cgroups of %s: %w", m.Name, err)
			}
		}
		doors = append(doors, filepath.Join(dir, "cgroup.procs"))
	}
	return doors, nil
}

// passDown lets a folder's children have its controllers, which v2 wants said.
func passDown(dir string) error {
	have, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var want []string
	for controller := range strings.FieldsSeq(string(have)) {
		want = append(want, "+"+controller)
	}
	return os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte(strings.Join(want, " ")), 0)
}

// inherit copies what v1 leaves empty in a new folder, where no process may then
// be. Several machines may do so in one folder at once.
func inherit(parent, dir string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		have, err := os.ReadFile(filepath.Join(dir, file))
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if strings.TrimSpace(string(have)) != "" {
			continue
		}
		value, err := os.ReadFile(filepath.Join(parent, file))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, file), value, 0); err != nil {
			return err
		}
	}
	return nil
}
