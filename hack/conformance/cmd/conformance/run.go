package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"fairlead.dev/hack/conformance"
)

func run(ctx context.Context, args []string, stdout io.Writer) (err error) {
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	out := flags.String("o", "", "file to write the page to")
	verbose := flags.Bool("v", false, "show all that plugins said where they fail")
	if err := flags.Parse(args); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "fairlead-conformance-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	plugins, err := plugins(ctx, filepath.Join(scratch, "bin"))
	if err != nil {
		return err
	}
	p := printer{w: stdout, plugins: plugins, verbose: *verbose}
	rows, err := conformance.Run(ctx, plugins, scratch, p.row)
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout)
	var page bytes.Buffer
	if err := conformance.Page(&page, plugins, rows); err != nil {
		return err
	}
	if *out != "" {
		if err := os.WriteFile(*out, page.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return p.end()
}

// printer shows the rows as they come.
type printer struct {
	w       io.Writer
	plugins []conformance.Plugin
	verbose bool
	failed  []string
}

func (p *printer) row(r conformance.Row) {
	fmt.Fprintf(p.w, "%-30s", r.ID)
	for i, plugin := range p.plugins {
		fmt.Fprintf(p.w, " %s %s ", plugin.Name, r.Marks(i))
	}
	fmt.Fprintln(p.w)
	for i, plugin := range p.plugins {
		for j, o := range r.Outcomes[i] {
			if o.Verdict != conformance.Failed {
				continue
			}
			if i == 0 {
				p.failed = append(p.failed, r.ID)
			}
			fmt.Fprintf(p.w, "    %s %s: %s\n", plugin.Name, conformance.Versions()[j], o.Why)
			if p.verbose {
				fmt.Fprintf(p.w, "        %s\n", strings.ReplaceAll(strings.Join(o.Log, "\n"), "\n", "\n        "))
			}
		}
	}
}

// end fails if our plugin, the first, has failed.
func (p *printer) end() error {
	if len(p.failed) > 0 {
		return fmt.Errorf("%s does not meet: %s", p.plugins[0].Name, strings.Join(p.failed, ", "))
	}
	return nil
}
