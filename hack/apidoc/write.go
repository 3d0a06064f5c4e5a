package main

import (
	"fmt"
	"io"
	"io/fs"
	"strings"

	"sigs.k8s.io/yaml"
)

const preamble = `# API reference

<!-- Made from config/crd by "make generate". Do not edit. -->

All kinds are cluster-scoped. Users write IPPool, BGPConfiguration and BGPPeer;
the controller writes AddressPlan, BGPNode and IPBlock; each node's agent writes
its own NodeState. "Required" is marked with an asterisk.
`

// write prints the reference of every CRD in files.
func write(w io.Writer, files fs.FS) error {
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return fmt.Errorf("list CRDs: %w", err)
	}
	var b strings.Builder
	b.WriteString(preamble)
	for _, name := range names {
		raw, err := fs.ReadFile(files, name)
		if err != nil {
			return fmt.Errorf("read CRD: %w", err)
		}
		var d definition
		if err := yaml.Unmarshal(raw, &d); err != nil {
			return fmt.Errorf("parse %s: %w", name, err)
		}
		d.write(&b)
	}
	_, err = io.WriteString(w, b.String())
	return err
}

func (d definition) write(b *strings.Builder) {
	for _, v := range d.Spec.Versions {
		root := v.Schema.OpenAPIV3Schema
		fmt.Fprintf(b, "\n## %s\n\n`%s/%s`, resource `%s`", d.Spec.Names.Kind, d.Spec.Group, v.Name, d.Spec.Names.Plural)
		if short := d.Spec.Names.ShortNames; len(short) > 0 {
			fmt.Fprintf(b, ", short `%s`", strings.Join(short, "`, `"))
		}
		fmt.Fprintf(b, "\n\n%s\n", oneLine(root.Description))
		writeRules(b, "", root.Rules)
		for _, part := range []string{"spec", "status"} {
			s, ok := root.Properties[part]
			if !ok {
				continue
			}
			b.WriteString("\n| Field | Type | Default | Meaning |\n|---|---|---|---|\n")
			for _, f := range s.fields(part + ".") {
				f.write(b)
			}
			writeRules(b, part, s.Rules)
		}
	}
}

func writeRules(b *strings.Builder, of string, rules []rule) {
	for _, r := range rules {
		switch {
		case r.Message == "":
		case r.FieldPath != "":
			fmt.Fprintf(b, "\nRule for `%s%s`: %s.\n", of, r.FieldPath, r.Message)
		default:
			fmt.Fprintf(b, "\nRule: %s.\n", r.Message)
		}
	}
}

func (f field) write(b *strings.Builder) {
	star, value := "", ""
	if f.required {
		star = "*"
	}
	if f.schema.Default != nil {
		value = fmt.Sprintf("`%v`", f.schema.Default)
	}
	text := oneLine(f.schema.Description)
	if l := f.schema.limits(); l != "" {
		text += " _" + strings.ReplaceAll(l, "|", `\|`) + "_"
	}
	fmt.Fprintf(b, "| `%s`%s | %s | %s | %s |\n", f.path, star, f.schema.kind(), value, text)
}

// oneLine keeps a text within its table cell.
func oneLine(s string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "|", `\|`)
}
