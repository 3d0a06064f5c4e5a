package conformance

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"
)

// Row is an obligation with its outcomes: a slice for each plugin, of an outcome
// for each version.
type Row struct {
	Obligation
	Outcomes [][]Outcome
}

// workers is how many trials are held at once. Most of a DEL is the kernel's wait.
const workers = 4

// Run holds all trials, with a scratch folder for their use, and tells of each
// row when it is done.
func Run(ctx context.Context, plugins []Plugin, scratch string, tell func(Row)) ([]Row, error) {
	served := make([][]string, len(plugins))
	for i, p := range plugins {
		var err error
		if served[i], err = p.served(ctx); err != nil {
			return nil, err
		}
	}
	var rows []Row
	for _, o := range Obligations() {
		row := Row{Obligation: o, Outcomes: make([][]Outcome, len(plugins))}
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(workers)
		for i, p := range plugins {
			row.Outcomes[i] = make([]Outcome, len(Versions()))
			for j, version := range Versions() {
				if !o.Applies(version) || !slices.Contains(served[i], version) {
					continue
				}
				g.Go(func() (err error) {
					row.Outcomes[i][j], err = o.tryIn(ctx, p, version, scratch)
					return err
				})
			}
		}
		if err := g.Wait(); err != nil {
			return nil, err
		}
		tell(row)
		rows = append(rows, row)
	}
	return rows, nil
}

func (o Obligation) tryIn(ctx context.Context, p Plugin, version, scratch string) (Outcome, error) {
	if err := ctx.Err(); err != nil {
		return Outcome{}, err
	}
	dir, err := os.MkdirTemp(scratch, "trial-")
	if err != nil {
		return Outcome{}, err
	}
	defer os.RemoveAll(dir)
	return o.Try(p, version, dir)
}

// served asks the plugin by VERSION which versions it serves.
func (p Plugin) served(ctx context.Context) ([]string, error) {
	cmd := exec.CommandContext(ctx, p.program())
	cmd.Env = []string{"CNI_COMMAND=VERSION", "CNI_PATH=" + p.Dir}
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("ask %s for its versions: %w", filepath.Base(p.program()), err)
	}
	var v versionAnswer
	if err := only(string(out), &v); err != nil {
		return nil, fmt.Errorf("ask %s for its versions: %w", filepath.Base(p.program()), err)
	}
	return v.SupportedVersions, nil
}

// Marks are a plugin's outcomes in few characters, as on the page.
func (r Row) Marks(plugin int) string { return marks(r.Outcomes[plugin]) }
