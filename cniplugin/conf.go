package cniplugin

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"fairlead.dev/cniplugin/rundir"
	"fairlead.dev/cniplugin/store"
	"fairlead.dev/dataplane"
)

// place is where the store is. It is all that DEL and GC read of a configuration
// of ours: what is wrong with the rest must not keep a pod from ending.
type place struct {
	// RunDir is the agent's run directory; the store is inside.
	RunDir string `json:"runDir"`
}

// conf is the plugin's part of a CNI configuration.
type conf struct {
	place
	// MTU of pods' links; 0 means the smallest of the node's uplinks.
	MTU uint32 `json:"mtu"`
	// Pools to take addresses from; none means every one that is for pods.
	Pools []string `json:"pools"`
}

// known are the keys of conf, of the protocol, and of the runtime. Of the keys
// that the specification calls well-known, ipam, ipMasq and dns are not among
// them: to take them and do nothing would be a lie.
var known = []string{
	"cniVersion", "cniVersions", "name", "type", "capabilities", // protocol
	"runtimeConfig", "args", "prevResult", // runtime, beside those of reservedPrefix
	"runDir", "mtu", "pools", // ours
}

// reservedPrefix starts keys that only a runtime writes.
const reservedPrefix = "cni.dev/"

// parseConf reads a configuration and refuses what it does not know.
func parseConf(data []byte) (conf, error) {
	var c conf
	if err := refuseUnknown(data, "", func(key string) bool {
		return slices.Contains(known, key) || strings.HasPrefix(key, reservedPrefix)
	}); err != nil {
		return c, err
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return c, fmt.Errorf("%w: %w", errDecode, err)
	}
	if c.MTU != 0 && (c.MTU < dataplane.MinMTU || c.MTU > dataplane.MaxMTU) {
		return c, fmt.Errorf("%w: mtu is %d, must be 0 (that of the uplink) or %d to %d", errConf, c.MTU, dataplane.MinMTU, dataplane.MaxMTU)
	}
	if c.Pools != nil {
		if err := checkPools("pools", c.Pools); err != nil {
			return c, err
		}
	}
	return c, c.check()
}

// refuseUnknown refuses the first key, by name, that isKnown says no to. Keys are
// told as they are written in the configuration, behind prefix.
func refuseUnknown(data []byte, prefix string, isKnown func(string) bool) error {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(data, &keys); err != nil {
		return fmt.Errorf("%w: %w", errDecode, err)
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if !isKnown(key) {
			return fmt.Errorf("%w: key %q with value %s", errField, prefix+key, abridged(string(keys[key])))
		}
	}
	return nil
}

// abridged keeps an error short, whatever is in the configuration.
func abridged(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

func checkPools(key string, pools []string) error {
	if len(pools) == 0 {
		return fmt.Errorf("%w: %s is empty, must name an IPPool", errConf, key)
	}
	if slices.Contains(pools, "") {
		return fmt.Errorf("%w: %s has an empty name, must be names of IPPools", errConf, key)
	}
	return nil
}

func parsePlace(data []byte) (place, error) {
	var c place
	if err := json.Unmarshal(data, &c); err != nil {
		return c, fmt.Errorf("%w: %w", errDecode, err)
	}
	return c, c.check()
}

func (c *place) check() error {
	if c.RunDir == "" {
		c.RunDir = rundir.Default
	}
	if !filepath.IsAbs(c.RunDir) {
		return fmt.Errorf("%w: runDir is %q, must be an absolute path", errConf, c.RunDir)
	}
	return nil
}

func (c *place) openStore() (*store.Store, error) {
	return store.Open(filepath.Join(c.RunDir, rundir.Store))
}
