package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// definition is what the reference needs of a CustomResourceDefinition.
type definition struct {
	Spec struct {
		Group string `json:"group"`
		Names struct {
			Kind       string   `json:"kind"`
			Plural     string   `json:"plural"`
			ShortNames []string `json:"shortNames"`
		} `json:"names"`
		Versions []struct {
			Name   string `json:"name"`
			Schema struct {
				OpenAPIV3Schema schema `json:"openAPIV3Schema"`
			} `json:"schema"`
			Columns []struct {
				Name string `json:"name"`
			} `json:"additionalPrinterColumns"`
		} `json:"versions"`
	} `json:"spec"`
}

// schema is one field or object.
type schema struct {
	Description string            `json:"description"`
	Type        string            `json:"type"`
	Format      string            `json:"format"`
	Default     any               `json:"default"`
	Enum        []string          `json:"enum"`
	Minimum     *float64          `json:"minimum"`
	Maximum     *float64          `json:"maximum"`
	MaxItems    *int64            `json:"maxItems"`
	Required    []string          `json:"required"`
	Properties  map[string]schema `json:"properties"`
	Items       *schema           `json:"items"`
	Rules       []rule            `json:"x-kubernetes-validations"`
}

// rule is one that the API server enforces. A rule whose message is made by an
// expression has none here: the field's description says what it asks for.
type rule struct {
	Message   string `json:"message"`
	FieldPath string `json:"fieldPath"`
}

// known are types of Kubernetes itself, told in a word instead of field by field.
func (s schema) known() string {
	switch {
	case s.Properties["matchLabels"].Type != "" && s.Properties["matchExpressions"].Type != "":
		return "LabelSelector"
	case s.Properties["lastTransitionTime"].Type != "" && s.Properties["reason"].Type != "":
		return "Condition"
	}
	return ""
}

// kind says what a value looks like.
func (s schema) kind() string {
	switch {
	case s.Type == "array" && s.Items != nil:
		return "list of " + s.Items.kind()
	case s.known() != "":
		return s.known()
	case len(s.Enum) > 0:
		return strings.Join(s.Enum, ", ")
	case s.Format == "date-time":
		return "time"
	default:
		return s.Type
	}
}

// limits says what the API server refuses.
func (s schema) limits() string {
	var parts []string
	switch {
	case s.Minimum != nil && s.Maximum != nil:
		parts = append(parts, fmt.Sprintf("%.0f to %.0f", *s.Minimum, *s.Maximum))
	case s.Minimum != nil:
		parts = append(parts, fmt.Sprintf("at least %.0f", *s.Minimum))
	case s.Maximum != nil:
		parts = append(parts, fmt.Sprintf("at most %.0f", *s.Maximum))
	}
	if s.MaxItems != nil {
		parts = append(parts, fmt.Sprintf("at most %d", *s.MaxItems))
	}
	for _, r := range s.Rules {
		if r.Message != "" {
			parts = append(parts, r.Message)
		}
	}
	if s.Items != nil {
		if l := s.Items.limits(); l != "" && s.Items.Properties == nil {
			parts = append(parts, "each "+l)
		}
	}
	return strings.Join(parts, "; ")
}

// field is one line of the reference.
type field struct {
	path     string
	required bool
	schema   schema
}

// fields lists everything below s, by name, an object before what is in it.
func (s schema) fields(path string) []field {
	var all []field
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		f := field{path: path + name, required: slices.Contains(s.Required, name), schema: s.Properties[name]}
		all = append(all, f)
		inner, suffix := f.schema, "."
		if inner.Items != nil {
			inner, suffix = *inner.Items, "[]."
		}
		if inner.known() == "" {
			all = append(all, inner.fields(f.path+suffix)...)
		}
	}
	return all
}
