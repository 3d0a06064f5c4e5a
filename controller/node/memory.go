package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"fairlead.dev/controller/plan"
)

// memoryName is the file's name in the state directory.
const memoryName = "snapshot.json"

// memoryVersion is raised when an older agent could not read what is written.
const memoryVersion = 1

// Identity is what a remembered Intent is bound to: on a cloned disk or another
// cluster it is nobody's.
type Identity struct {
	Node      string `json:"node"`
	MachineID string `json:"machineID"`
	APIServer string `json:"apiServer"`
}

// Memory is the agent's last good Intent on disk, from which it starts BGP when
// the API server is down. It holds keys: the file is root's alone (0600).
type Memory struct {
	path   string
	id     Identity
	bootID string
	// maxAge after the last confirmation, a memory from before a reboot is void.
	maxAge time.Duration
}

type memoryFile struct {
	Version   int         `json:"version"`
	Identity  Identity    `json:"identity"`
	BootID    string      `json:"bootID"`
	Confirmed time.Time   `json:"confirmed"`
	Intent    plan.Intent `json:"intent"`
}

// NewMemory keeps the Intent in dir. maxAge is half the node grace period, so
// that a rebooted node never uses a block that was meanwhile leased to another.
func NewMemory(dir string, id Identity, bootID string, maxAge time.Duration) *Memory {
	return &Memory{path: filepath.Join(dir, memoryName), id: id, bootID: bootID, maxAge: maxAge}
}

// ErrNothingRemembered is returned by Load on a node's first start.
var ErrNothingRemembered = errors.New("nothing remembered")

// Load returns the remembered Intent, or why there is none to be used.
func (m *Memory) Load(now time.Time) (plan.Intent, error) {
	data, err := os.ReadFile(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return plan.Intent{}, ErrNothingRemembered
	}
	if err != nil {
		return plan.Intent{}, fmt.Errorf("read the remembered configuration: %w", err)
	}
	var f memoryFile
	if err := json.Unmarshal(data, &f); err != nil {
		return plan.Intent{}, fmt.Errorf("parse %s: %w", m.path, err)
	}
	age := now.Sub(f.Confirmed)
	switch {
	case f.Version != memoryVersion:
		return plan.Intent{}, fmt.Errorf("%s has version %d, this agent reads %d", m.path, f.Version, memoryVersion)
	case f.Identity != m.id:
		return plan.Intent{}, fmt.Errorf("%s was written for %+v, this is %+v", m.path, f.Identity, m.id)
	case age < 0:
		return plan.Intent{}, fmt.Errorf("%s was confirmed at %s, which is in the future: the clock went back", m.path, f.Confirmed.Format(time.RFC3339))
	case f.BootID != m.bootID && age > m.maxAge:
		return plan.Intent{}, fmt.Errorf("%s is from before the reboot and was last confirmed %s ago, more than %s", m.path, age.Round(time.Second), m.maxAge)
	}
	return f.Intent, nil
}

// Save remembers an Intent that the API server confirmed at now.
func (m *Memory) Save(in plan.Intent, now time.Time) error {
	data, err := json.Marshal(memoryFile{Version: memoryVersion, Identity: m.id, BootID: m.bootID, Confirmed: now, Intent: in})
	if err != nil {
		return fmt.Errorf("encode the configuration: %w", err)
	}
	if err := writeFile(m.path, data); err != nil {
		return fmt.Errorf("remember the configuration: %w", err)
	}
	return nil
}

// Forget removes the memory, and what a killed agent left of it.
func (m *Memory) Forget() error {
	if err := errors.Join(remove(m.path), remove(m.path+unfinished)); err != nil {
		return fmt.Errorf("forget the remembered configuration: %w", err)
	}
	return nil
}

func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// unfinished ends the name of a file that is being written. It has one name,
// since one agent writes, so that a killed one leaves one at most.
const unfinished = ".new"

// writeFile replaces path at once and for good: a crash leaves the old or the new.
func writeFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := remove(path + unfinished); err != nil { // a killed agent's, whatever its mode
		return err
	}
	f, err := os.OpenFile(path+unfinished, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone after the rename
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
