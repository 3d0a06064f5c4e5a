// Package crd holds the CustomResourceDefinitions, generated from api by
// hack/generate.sh. It owns nothing else, and its YAML is not edited by hand.
package crd

import "embed"

// FS holds one CRD a file.
//
//go:embed *.yaml
var FS embed.FS
