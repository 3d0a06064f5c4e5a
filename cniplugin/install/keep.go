package install

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/containernetworking/cni/libcni"
)

// restoreInterval is the least time between two restorations: another network
// provider may be one that takes away every configuration but its own.
const restoreInterval = 10 * time.Second

// Found is what a runtime finds in its folder.
type Found struct {
	// Installed says that our configuration is there, and can be read.
	Installed bool
	// Removed says that it was written again a moment ago, and is gone again.
	Removed bool
	// Changed says that it is not as we wrote it. What others appended is no change.
	Changed bool
	// Rivals come before ours, by name.
	Rivals []Rival
	// Touched is when a file of somebody else last came into the folder, or went. That
	// of ours counts too, unless it came when no other was there.
	Touched time.Time
}

// Keeper keeps the configuration in its folder while the agent runs. It is
// written when the node is ready for the first time, and again when it is gone or
// cannot be read: a node without one is NotReady, and its pods are evicted. What
// somebody changes in it by hand stays until the agent starts next, and plugins
// that others append stay always. It is never taken away.
type Keeper struct {
	dir  string
	conf Conf
	log  *slog.Logger

	// begun says that this agent has seen to the configuration once.
	begun    bool
	restored time.Time
	last     Found
	// alone is when the folder was touched by writing ours where nothing else was, and
	// before when it was touched before that.
	alone, before time.Time
}

// NewKeeper returns a Keeper of the configuration in dir.
func NewKeeper(dir string, c Conf, log *slog.Logger) *Keeper {
	return &Keeper{dir: dir, conf: c, log: log}
}

// Keep sees to the configuration. ready says that the node can serve pods.
func (k *Keeper) Keep(ready bool) (Found, error) {
	path := filepath.Join(k.dir, ConfName)
	have, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Found{}, fmt.Errorf("read CNI configuration: %w", err)
	}
	want, err := k.conf.render(others(have))
	if err != nil {
		return Found{}, err
	}
	_, unreadable := libcni.NetworkConfFromBytes(have)
	found := Found{Installed: unreadable == nil, Changed: k.begun && unreadable == nil && !equal(have, want)}
	if k.due(ready, found.Installed, equal(have, want)) {
		if err := k.place(want); err != nil {
			return Found{}, err
		}
		if k.begun {
			k.restored = time.Now()
			k.log.Warn("CNI configuration was removed or cut short, it is written again", "file", path)
		} else {
			k.log.Info("CNI configuration written", "file", path)
		}
		found = Found{Installed: true}
	}
	found.Removed = k.begun && !found.Installed
	k.begun = k.begun || ready
	if found.Rivals, err = rivals(k.dir); err != nil {
		return Found{}, err
	}
	if found.Touched = touched(k.dir); found.Touched.Equal(k.alone) {
		found.Touched = k.before
	}
	k.tell(found)
	return found, nil
}

func (k *Keeper) place(conf []byte) error {
	all, err := libcni.ConfFiles(k.dir, extensions())
	others := slices.ContainsFunc(all, func(path string) bool { return filepath.Base(path) != ConfName })
	before := touched(k.dir)
	if err := errors.Join(err, place(k.dir, ConfName, conf, confMode)); err != nil {
		return err
	}
	if !others {
		k.alone, k.before = touched(k.dir), before
	}
	return nil
}

// touched is when a file last came into the folder, or went; zero if there is none.
func touched(dir string) time.Time {
	info, err := os.Stat(dir)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// due says whether the configuration is to be written.
func (k *Keeper) due(ready, installed, same bool) bool {
	if !k.begun {
		return ready && !same
	}
	return !installed && time.Since(k.restored) >= restoreInterval
}

// tell logs what is new.
func (k *Keeper) tell(found Found) {
	was := k.last
	k.last = found
	if found.Changed && !was.Changed {
		k.log.Warn("CNI configuration was changed by hand: it is written anew when the agent starts next", "file", filepath.Join(k.dir, ConfName))
	}
	if slices.EqualFunc(found.Rivals, was.Rivals, Rival.equal) {
		return
	}
	for _, r := range found.Rivals {
		if file := filepath.Join(k.dir, r.Name); r.Broken != nil {
			k.log.Error("a CNI configuration that comes before ours by name cannot be read", "file", file, "err", r.Broken)
		} else {
			k.log.Warn("a CNI configuration comes before ours by name", "file", file)
		}
	}
	if len(found.Rivals) == 0 {
		k.log.Info("no CNI configuration comes before ours any more")
	}
}
