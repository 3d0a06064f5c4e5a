package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"fairlead.dev/hack/lab/topology"
)

// BaseDir holds a folder for each instance, each a tmpfs of its own: nodes keep
// their address stores there, which must not outlive the kernel's state.
const BaseDir = "/run/fairlead-lab"

const stateFile = "state.json"

// state is what another process needs in order to work with a running lab.
type state struct {
	Topology topology.Topology `json:"topology"`
	Options  Options           `json:"options"`
	Pods     []Pod             `json:"pods"`
	// Owner is the process that brought the lab up, and its start time.
	Owner     int    `json:"owner"`
	OwnerBorn uint64 `json:"ownerBorn"`
}

func (l *Lab) path(elements ...string) string {
	return filepath.Join(append([]string{l.dir}, elements...)...)
}

func (l *Lab) save() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.saveLocked()
}

func (l *Lab) saveLocked() error {
	data, err := json.MarshalIndent(state{
		Topology: l.topo, Options: l.opts, Pods: l.pods, Owner: l.owner, OwnerBorn: l.ownerBorn,
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	return writeFile(l.path(stateFile), data, 0o600)
}

// Open finds a lab that another process brought up.
func Open(instance string, log *slog.Logger) (*Lab, error) {
	s, err := loadState(instance)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("lab %q is not up", instance)
	}
	if err != nil {
		return nil, fmt.Errorf("open lab %q: %w", instance, err)
	}
	s.Options.Log = log
	l := &Lab{
		Instance: instance, topo: s.Topology, dir: filepath.Join(BaseDir, instance), opts: s.Options, pods: s.Pods,
		owner: s.Owner, ownerBorn: s.OwnerBorn, log: log,
	}
	if l.processes, err = newSupervisor(l.path("processes"), l.path("logs"), true, log); err != nil {
		return nil, err
	}
	return l, l.attachCluster()
}

func loadState(instance string) (state, error) {
	data, err := os.ReadFile(filepath.Join(BaseDir, instance, stateFile))
	if err != nil {
		return state{}, err
	}
	var s state
	if err := json.Unmarshal(data, &s); err != nil {
		return state{}, err
	}
	return s, nil
}

// Remove removes everything of an instance, up or half gone. An instance of
// which nothing is there is an error.
func Remove(ctx context.Context, instance string, log *slog.Logger) error {
	if !instanceForm.MatchString(instance) {
		return fmt.Errorf("instance %q: want 1 to 12 of a-z and 0-9", instance)
	}
	l, err := Open(instance, log)
	if err == nil {
		return l.Down(ctx)
	}
	l = &Lab{Instance: instance, dir: filepath.Join(BaseDir, instance), log: log}
	names, listErr := l.namespaces()
	if _, statErr := os.Stat(l.dir); len(names) == 0 && statErr != nil {
		return errors.Join(err, listErr)
	}
	// Its records cannot be read; what runs inside its namespaces ends with them.
	return l.Down(ctx)
}

// Instances lists the labs of this machine, up or half gone.
func Instances() ([]string, error) {
	entries, err := os.ReadDir(BaseDir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list labs: %w", err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return names, nil
}

// makeDir makes the instance's folder, which must not be there: it is what
// keeps two labs of one name apart.
func (l *Lab) makeDir() error {
	if err := os.MkdirAll(BaseDir, 0o755); err != nil {
		return fmt.Errorf("make folder of labs: %w", err)
	}
	if err := os.Mkdir(l.dir, 0o755); errors.Is(err, os.ErrExist) {
		return fmt.Errorf("lab %q is up already: end it (lab -i %[1]s down) or choose another name", l.Instance)
	} else if err != nil {
		return fmt.Errorf("make folder of the lab: %w", err)
	}
	if err := unix.Mount("fairlead-lab", l.dir, "tmpfs", 0, "mode=0755"); err != nil {
		return errors.Join(fmt.Errorf("mount tmpfs on %s: %w", l.dir, err), os.Remove(l.dir))
	}
	return nil
}

// removeDir takes the folder away; one that is gone already is no error.
func (l *Lab) removeDir() error {
	if err := unix.Unmount(l.dir, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", l.dir, err)
	}
	if err := os.RemoveAll(l.dir); err != nil {
		return fmt.Errorf("remove the lab's folder: %w", err)
	}
	// The folder of all labs goes with its last one.
	if err := os.Remove(BaseDir); err != nil && !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the folder of labs: %w", err)
	}
	return nil
}

// down ends and removes everything of the instance; each step is tried whatever
// became of the others, and what is gone already is no error.
func (l *Lab) down(ctx context.Context) error {
	var errs []error
	if l.processes != nil {
		errs = append(errs, l.processes.stopAll(ctx, func(string) bool { return true }))
	}
	errs = append(errs, l.stopCluster())
	names, err := l.namespaces()
	errs = append(errs, err, removeNamespaces(ctx, names), RemoveCgroups(ctx, CgroupName(l.Instance)), l.removeDir())
	return errors.Join(errs...)
}
