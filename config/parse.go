package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// parse reads a YAML mapping of keys to scalars, each as the text that a flag
// would be given. A key that stands twice is an error. An empty file is an
// empty mapping.
func parse(raw []byte) (map[string]string, error) {
	doc, err := yaml.YAMLToJSONStrict(raw)
	if err != nil {
		return nil, fmt.Errorf("parse YAML: %w", err)
	}
	var scalars map[string]json.RawMessage
	if err := json.Unmarshal(doc, &scalars); err != nil {
		return nil, errors.New("must be a mapping of keys to values, such as logLevel: debug")
	}
	values := map[string]string{}
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(scalars)) {
		text, err := scalar(scalars[key])
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
		values[key] = text
	}
	return values, errors.Join(errs...)
}

// scalar is a JSON string's content, or a number or boolean as it is written.
func scalar(raw json.RawMessage) (string, error) {
	text := string(raw)
	switch {
	case strings.HasPrefix(text, `"`):
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err
	case text == "null":
		return "", errors.New("has no value: leave the key out, or write \"\" for an empty one")
	case text == "true" || text == "false":
		return text, nil
	}
	if _, err := strconv.ParseFloat(text, 64); err != nil {
		return "", errors.New("must be one value, not a list or a mapping")
	}
	return text, nil
}
