package kube

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
)

// stateFile is inside a control plane's folder.
const stateFile = "state.json"

// state is all that another process needs to take a control plane over.
type state struct {
	Instance string     `json:"instance"`
	NetNS    string     `json:"netns,omitempty"`
	Address  netip.Addr `json:"address"`
	Port     uint16     `json:"port"`
	Bin      string     `json:"bin"`
	Detach   bool       `json:"detach,omitempty"`
	// OneFamily is of Services.
	OneFamily bool `json:"oneFamily,omitempty"`

	Managers    string   `json:"managers,omitempty"`
	ManagerArgs []string `json:"managerArgs,omitempty"`

	Etcd              *process `json:"etcd,omitempty"`
	APIServer         *process `json:"apiserver,omitempty"`
	ControllerManager *process `json:"controllerManager,omitempty"`
	Scheduler         *process `json:"scheduler,omitempty"`
}

// save replaces the file in one step, so that whoever reads it while a process
// is being started reads the old or the new one.
func (s *state) save(dir string) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	path := filepath.Join(dir, stateFile)
	if err := os.WriteFile(path+".tmp", b, 0o600); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

func loadState(dir string) (state, error) {
	b, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		return state{}, fmt.Errorf("read state: %w", err)
	}
	var s state
	if err := json.Unmarshal(b, &s); err != nil {
		return state{}, fmt.Errorf("read state in %s: %w", dir, err)
	}
	return s, nil
}
