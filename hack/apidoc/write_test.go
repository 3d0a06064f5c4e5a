package main

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"fairlead.dev/config/crd"
)

// TestReference holds docs/api.md to the CRDs.
func TestReference(t *testing.T) {
	want, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	if err := write(&got, crd.FS); err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Error("docs/api.md is not what config/crd says: run make generate")
	}
}

const sample = `
spec:
  group: example.org
  names: {kind: Ship, plural: ships, shortNames: [sh]}
  versions:
  - name: v1
    schema:
      openAPIV3Schema:
        description: "Ship is\n  a ship | boat."
        x-kubernetes-validations: [{message: name it well}]
        properties:
          spec:
            required: [masts]
            x-kubernetes-validations: [{message: no mast without sail}, {messageExpression: made}, {fieldPath: .rig, message: fits the masts}]
            properties:
              masts: {type: integer, minimum: 1, maximum: 5, default: 3, description: How many.}
              rig: {type: string, enum: [Barque, Brig]}
              crew:
                type: array
                maxItems: 2
                items: {properties: {name: {type: string, format: date-time}}}
              ports:
                type: array
                items: {type: string, x-kubernetes-validations: [{message: must be a port}]}
              selector: {type: object, properties: {matchLabels: {type: object}, matchExpressions: {type: array}}}
`

const reference = `
## Ship

` + "`example.org/v1`, resource `ships`, short `sh`" + `

Ship is a ship \| boat.

Rule: name it well.

| Field | Type | Default | Meaning |
|---|---|---|---|
| ` + "`spec.crew`" + ` | list of  |  |  _at most 2_ |
| ` + "`spec.crew[].name`" + ` | time |  |  |
| ` + "`spec.masts`* | integer | `3`" + ` | How many. _1 to 5_ |
| ` + "`spec.ports`" + ` | list of string |  |  _each must be a port_ |
| ` + "`spec.rig`" + ` | Barque, Brig |  |  |
| ` + "`spec.selector`" + ` | LabelSelector |  |  |

Rule: no mast without sail.

Rule for ` + "`spec.rig`" + `: fits the masts.
`

func TestWrite(t *testing.T) {
	var got strings.Builder
	if err := write(&got, fstest.MapFS{"ship.yaml": {Data: []byte(sample)}}); err != nil {
		t.Fatal(err)
	}
	if text := strings.TrimPrefix(got.String(), preamble); text != reference {
		t.Errorf("reference:\n%s\nwant:\n%s", text, reference)
	}
	if err := write(&got, fstest.MapFS{"bad.yaml": {Data: []byte("\t{")}}); err == nil || !strings.Contains(err.Error(), "bad.yaml") {
		t.Errorf("bad YAML: %v", err)
	}
}
