package cniplugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"

	"fairlead.dev/cniplugin/store"
)

// DefaultRunDir is where a node's run time files are, unless runDir says otherwise.
const DefaultRunDir = "/run/fairlead"

// Limits of mtu: the least that IPv6 works with (RFC 8200 section 5), and the
// largest packet of IPv4.
const (
	minMTU = 1280
	maxMTU = 65535
)

// errConf is a configuration that cannot be used.
var errConf = errors.New("invalid configuration")

// conf is the plugin's part of a CNI configuration.
type conf struct {
	CNIVersion       string               `json:"cniVersion"`
	Name             string               `json:"name"`
	PrevResult       json.RawMessage      `json:"prevResult"`
	ValidAttachments []types.GCAttachment `json:"cni.dev/valid-attachments"`
	// RunDir is the agent's run directory; the store is inside.
	RunDir string `json:"runDir"`
	// MTU of pods' links; 0 means the smallest of the node's uplinks.
	MTU uint32 `json:"mtu"`
}

// known are the keys of conf, of the protocol, and of the runtime. Of the keys
// that the specification calls well-known, ipam, ipMasq and dns are not among
// them: to take them and do nothing would be a lie.
var known = []string{
	"cniVersion", "cniVersions", "name", "type", "capabilities", // protocol
	"runtimeConfig", "args", "prevResult", // runtime, beside those of reservedPrefix
	"runDir", "mtu", // ours
}

// reservedPrefix starts keys that only a runtime writes.
const reservedPrefix = "cni.dev/"

// parseConf reads a configuration and refuses what it does not know. An unknown
// key must not keep a pod from ending, so DEL and GC go on with parseLenient.
func parseConf(data []byte) (conf, error) {
	c, err := parseLenient(data)
	if err != nil {
		return c, err
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(data, &keys); err != nil {
		return c, fmt.Errorf("%w: %w", errConf, err)
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if !slices.Contains(known, key) && !strings.HasPrefix(key, reservedPrefix) {
			return c, fmt.Errorf("%w: unknown key %q, known are runDir and mtu", errConf, key)
		}
	}
	if c.MTU != 0 && (c.MTU < minMTU || c.MTU > maxMTU) {
		return c, fmt.Errorf("%w: mtu is %d, must be 0 (that of the uplink) or %d to %d", errConf, c.MTU, minMTU, maxMTU)
	}
	return c, nil
}

func parseLenient(data []byte) (conf, error) {
	c := conf{RunDir: DefaultRunDir}
	if err := json.Unmarshal(data, &c); err != nil {
		return c, fmt.Errorf("%w: %w", errConf, err)
	}
	if !filepath.IsAbs(c.RunDir) {
		return c, fmt.Errorf("%w: runDir is %q, must be an absolute path", errConf, c.RunDir)
	}
	return c, nil
}

func (c conf) openStore() (*store.Store, error) {
	return store.Open(filepath.Join(c.RunDir, store.Name))
}

// previous is the result that the configuration carries, nil if it has none.
func (c conf) previous() (*types100.Result, error) {
	if len(c.PrevResult) == 0 || string(c.PrevResult) == "null" {
		return nil, nil
	}
	parsed, err := version.NewResult(c.CNIVersion, c.PrevResult)
	if err != nil {
		return nil, fmt.Errorf("%w: prevResult: %w", errConf, err)
	}
	result, err := types100.NewResultFromResult(parsed)
	if err != nil {
		return nil, fmt.Errorf("%w: prevResult: %w", errConf, err)
	}
	return result, nil
}

// podName finds the pod's name in CNI_ARGS (KEY=VALUE;KEY=VALUE). It is for
// people only, so what is not understood is passed over, whatever IgnoreUnknown says.
func podName(args string) (namespace, name string) {
	for pair := range strings.SplitSeq(args, ";") {
		key, value, _ := strings.Cut(pair, "=")
		switch key {
		case "K8S_POD_NAMESPACE":
			namespace = value
		case "K8S_POD_NAME":
			name = value
		}
	}
	return namespace, name
}
