package store

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
)

// An older program keeps what a newer one added to the format. It looks for that
// only in a file that is not exactly in its own form, so the usual file's reading
// and writing cost nothing more.

// learn fills in the Unknown of s and of all that is in it, from what s was decoded from.
func (s *State) learn(data []byte) error {
	var lists struct {
		Leases, Allocations, Released []json.RawMessage
	}
	if err := json.Unmarshal(data, &lists); err != nil {
		return err
	}
	var err error
	learn := func(data []byte, known any) Unknown {
		found, wrong := unknownOf(data, known)
		if err == nil {
			err = wrong
		}
		return found
	}
	s.Unknown = learn(data, *s)
	for i, raw := range lists.Leases {
		s.Leases[i].Unknown = learn(raw, s.Leases[i])
	}
	for i, raw := range lists.Allocations {
		s.Allocations[i].Unknown = learn(raw, s.Allocations[i])
	}
	for i, raw := range lists.Released {
		s.Released[i].Unknown = learn(raw, s.Released[i])
	}
	return err
}

// unknownOf are the fields of the JSON object data that the struct known has not.
func unknownOf(data []byte, known any) (Unknown, error) {
	var fields Unknown
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, err
	}
	t := reflect.TypeOf(known)
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		for field := range fields {
			if strings.EqualFold(field, name) { // as encoding/json takes it
				delete(fields, field)
			}
		}
	}
	if len(fields) == 0 {
		return nil, nil
	}
	return fields, nil
}

// hasUnknown says that there is something that json.Marshal would lose.
func (s *State) hasUnknown() bool {
	return len(s.Unknown) > 0 ||
		slices.ContainsFunc(s.Leases, func(l Lease) bool { return len(l.Unknown) > 0 }) ||
		slices.ContainsFunc(s.Allocations, func(a Allocation) bool { return len(a.Unknown) > 0 }) ||
		slices.ContainsFunc(s.Released, func(r Release) bool { return len(r.Unknown) > 0 })
}

// marshalAll is json.Marshal with what is unknown.
func (s *State) marshalAll() ([]byte, error) {
	top := *s
	top.Leases, top.Allocations, top.Released = nil, nil, nil
	rest := Unknown{}
	for name, value := range s.Unknown {
		rest[name] = value
	}
	for name, list := range map[string]func() ([]json.RawMessage, error){
		"leases": func() ([]json.RawMessage, error) {
			return withUnknown(s.Leases, func(l Lease) Unknown { return l.Unknown })
		},
		"allocations": func() ([]json.RawMessage, error) {
			return withUnknown(s.Allocations, func(a Allocation) Unknown { return a.Unknown })
		},
		"released": func() ([]json.RawMessage, error) {
			return withUnknown(s.Released, func(r Release) Unknown { return r.Unknown })
		},
	} {
		items, err := list()
		if err != nil {
			return nil, err
		}
		if rest[name], err = json.Marshal(items); err != nil {
			return nil, err
		}
	}
	return marshalWith(top, rest)
}

func withUnknown[T any](items []T, unknown func(T) Unknown) ([]json.RawMessage, error) {
	out := make([]json.RawMessage, len(items))
	for i, item := range items {
		data, err := marshalWith(item, unknown(item))
		if err != nil {
			return nil, err
		}
		out[i] = data
	}
	return out, nil
}

// marshalWith is v as JSON with further fields. What v has wins over one that is
// unknown, except for an empty list.
func marshalWith(v any, more Unknown) (json.RawMessage, error) {
	data, err := json.Marshal(v)
	if err != nil || len(more) == 0 {
		return data, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, err
	}
	for name, value := range more {
		fields[name] = value
	}
	return json.Marshal(fields)
}
