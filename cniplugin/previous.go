package cniplugin

import (
	"encoding/json"
	"errors"
	"fmt"

	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"
)

// previous is the result that the configuration carries, nil if it has none.
func (r request) previous() (*types100.Result, error) {
	var in struct {
		PrevResult map[string]json.RawMessage `json:"prevResult"`
	}
	if err := json.Unmarshal(r.config, &in); err != nil {
		return nil, fmt.Errorf("%w: prevResult: %w", errDecode, err)
	}
	if in.PrevResult == nil {
		return nil, nil
	}
	result, err := parseResult(in.PrevResult, r.version)
	if err != nil {
		return nil, fmt.Errorf("%w: prevResult: %w", errDecode, err)
	}
	return result, nil
}

func parseResult(fields map[string]json.RawMessage, asked string) (*types100.Result, error) {
	var said string
	if raw, there := fields["cniVersion"]; there {
		if err := json.Unmarshal(raw, &said); err != nil {
			return nil, err
		}
	}
	if said == "" { // results before 1.0.0 need not say their version
		said = asked
		quoted, err := json.Marshal(asked)
		if err != nil {
			return nil, err
		}
		fields["cniVersion"] = quoted
	}
	if err := refuseNulls(fields); err != nil {
		return nil, err
	}
	data, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	parsed, err := version.NewResult(said, data)
	if err != nil {
		return nil, err
	}
	return types100.NewResultFromResult(parsed)
}

// refuseNulls keeps null from the lists of a result: the library's conversions
// from and to versions before 1.0.0 take every entry for one.
func refuseNulls(fields map[string]json.RawMessage) error {
	for _, name := range []string{"interfaces", "ips", "routes"} {
		var entries []any
		if raw, there := fields[name]; !there || json.Unmarshal(raw, &entries) != nil {
			continue // what it should be is the next one's to say
		}
		for i, entry := range entries {
			if entry == nil {
				return fmt.Errorf("%s[%d] is null", name, i)
			}
		}
	}
	return nil
}

// errNoPrevious is a CHECK without the result to check.
var errNoPrevious = errors.New("prevResult is missing, CHECK needs that of ADD")
