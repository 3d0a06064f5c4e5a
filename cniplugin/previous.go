package cniplugin

import (
	"encoding/json"
	"fmt"
	"strings"

	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"
)

// previous is the result that the configuration carries, nil if it has none.
func (r request) previous() (*types100.Result, error) {
	if !r.mentions("prevResult") {
		return nil, nil
	}
	var in struct {
		PrevResult json.RawMessage `json:"prevResult"`
	}
	if err := json.Unmarshal(r.config, &in); err != nil {
		return nil, fmt.Errorf("%w: %w", errDecode, err)
	}
	if len(in.PrevResult) == 0 || string(in.PrevResult) == "null" {
		return nil, nil
	}
	result, err := parseResult(in.PrevResult, r.version)
	if err != nil {
		return nil, fmt.Errorf("%w: prevResult: %w", errDecode, err)
	}
	return result, nil
}

// toCheck is the result that CHECK checks.
func (r request) toCheck() (*types100.Result, error) {
	prev, err := r.previous()
	if err == nil && prev == nil {
		err = fmt.Errorf("%w: prevResult is missing, CHECK needs that of ADD", errConf)
	}
	return prev, err
}

// parseResult reads a result of the version that it says, or else of that asked for.
func parseResult(data json.RawMessage, asked string) (*types100.Result, error) {
	var head struct {
		CNIVersion              string `json:"cniVersion"`
		Interfaces, IPs, Routes []json.RawMessage
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, err
	}
	// The library's conversions from and to versions before 1.0.0 take every
	// entry for one.
	for name, entries := range map[string][]json.RawMessage{"interfaces": head.Interfaces, "ips": head.IPs, "routes": head.Routes} {
		for i, entry := range entries {
			if string(entry) == "null" {
				return nil, fmt.Errorf("%s[%d] is null", name, i)
			}
		}
	}
	said := head.CNIVersion
	if said == "" { // results before 1.0.0 need not say their version
		said = asked
		var err error
		if data, err = withVersion(data, asked); err != nil {
			return nil, err
		}
	}
	parsed, err := version.NewResult(said, data)
	if err != nil {
		return nil, err
	}
	result, err := types100.NewResultFromResult(parsed)
	if err != nil {
		return nil, err
	}
	return result, refuseGaps(result)
}

// refuseGaps finds what the library takes and would print as "<nil>", which
// nobody takes.
func refuseGaps(result *types100.Result) error {
	for i, ip := range result.IPs {
		if ip.Address.IP == nil {
			return fmt.Errorf("ips[%d] has no address", i)
		}
	}
	for i, r := range result.Routes {
		if r.Dst.IP == nil {
			return fmt.Errorf("routes[%d] has no dst", i)
		}
	}
	return nil
}

// withVersion puts a version into a result that has none.
func withVersion(data json.RawMessage, version string) (json.RawMessage, error) {
	const key = "cniVersion"
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, err
	}
	for name := range fields {
		if strings.EqualFold(name, key) { // as encoding/json takes it
			delete(fields, name)
		}
	}
	fields[key] = version
	return json.Marshal(fields)
}
