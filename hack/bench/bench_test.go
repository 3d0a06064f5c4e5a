package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/hack/bench/measure"
	"fairlead.dev/hack/bench/rig"
	"fairlead.dev/hack/lab/labtest"
)

// TestMain lets what the areas start of ourselves be this program.
func TestMain(m *testing.M) {
	child()
	os.Exit(m.Run())
}

func TestRowsHaveStableNames(t *testing.T) {
	kebab := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	for _, a := range areas(true) {
		seen := map[string]bool{}
		for _, name := range a.rows {
			if !kebab.MatchString(name) {
				t.Errorf("%s: %q is not in kebab-case", a.name, name)
			}
			if seen[name] {
				t.Errorf("%s: %q is there twice", a.name, name)
			}
			seen[name] = true
		}
	}
	// Other work names these.
	for area, names := range map[string][]string{
		"cni": {"add-sequential", "add-parallel-8", "del-sequential"},
		"routes": {
			"install-100k", "install-100k-vs-fastest-peer", "install-100k-vs-one-call", "compare-100k", "compare-100k-vs-dump",
			"learn-install-100k-vs-learn", "failover-10k", "agent-rss-100k",
		},
		"leases": {"join-to-far-tor", "join-to-far-node", "agent-rss", "controller-rss"},
		"pods": {
			"pod-ready-100-vs-bridge", "pod-first-packet-100-vs-bridge", "pod-cni-share-100-vs-bridge",
		},
		"start": {"demo-warm-total", "demo-cold-total"},
	} {
		chosen, err := choose(areas(true), area)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if !slices.Contains(chosen[0].rows, name) {
				t.Errorf("%s has no row %s", area, name)
			}
		}
	}
}

func TestEveryRowIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range areas(true) {
		for _, name := range a.rows {
			if !strings.Contains(string(page), "`"+name+"`") {
				t.Errorf("docs/benchmarks.md does not tell what %s of %s means", name, a.name)
			}
		}
	}
}

func TestChoose(t *testing.T) {
	all := areas(false)
	if got, err := choose(all, ""); err != nil || len(got) != len(all) {
		t.Errorf("%d areas of %d, %v", len(got), len(all), err)
	}
	if got, err := choose(all, "bgp"); err != nil || len(got) != 1 || got[0].name != "bgp" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := choose(all, "bgb"); err == nil || !strings.Contains(err.Error(), `"bgb": there are cni, routes, bgp, leases, pods, start`) {
		t.Errorf("got %v", err)
	}
}

func TestArguments(t *testing.T) {
	for want, args := range map[string][]string{
		"unknown area":            {"-area", "none"},
		`unknown argument ["cni"`: {"cni"},
		"count below 1":           {"-n", "0"},
		"not defined":             {"-fast"},
		"no such file":            {"-json", "/nowhere/at/all"},
	} {
		err := run(t.Context(), args, io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q in it", args, err, want)
		}
	}
	if err := run(t.Context(), []string{"-h"}, io.Discard, io.Discard); err != nil {
		t.Errorf("help is an error: %v", err)
	}
}

// Rows that were measured are shown whatever happens to the rest.
func TestFailuresHideNothing(t *testing.T) {
	labtest.Root(t)
	broken := errors.New("broken")
	emitting := func(err error, names ...string) func(context.Context, *rig.Rig, func(measure.Row)) error {
		return func(_ context.Context, _ *rig.Rig, emit func(measure.Row)) error {
			for i, name := range names {
				emit(measure.Row{Area: "x", Name: name, Value: float64(i), Unit: measure.Seconds})
			}
			return err
		}
	}
	b := bench{areas: []area{
		{"fails", []string{"a", "b"}, emitting(broken, "a")},
		{"forgets", []string{"c", "d"}, emitting(nil, "c")},
		{"works", []string{"e"}, emitting(nil, "e")},
	}, size: rig.Full(), log: io.Discard}
	path := filepath.Join(t.TempDir(), "rows.json")
	var table bytes.Buffer
	err := b.run(t.Context(), &table, path)
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "forgets: measured [c], promised [c d]") {
		t.Errorf("got %v", err)
	}
	var names []string
	for _, row := range readRows(t, path) {
		names = append(names, row.Name)
	}
	if d := cmp.Diff([]string{"a", "c", "e"}, names); d != "" {
		t.Error(d)
	}
	for _, name := range names {
		if !strings.Contains(table.String(), " "+name+" ") {
			t.Errorf("row %s is not in the table:\n%s", name, table.String())
		}
	}
}

func TestInterruptEndsTheRun(t *testing.T) {
	labtest.Root(t)
	ctx, cancel := context.WithCancel(t.Context())
	ran := 0
	count := func(context.Context, *rig.Rig, func(measure.Row)) error { ran++; cancel(); return nil }
	b := bench{areas: []area{{"one", nil, count}, {"two", nil, count}}, size: rig.Full(), log: io.Discard}
	if err := b.run(ctx, io.Discard, ""); !errors.Is(err, context.Canceled) || ran != 1 {
		t.Errorf("%d areas ran, %v", ran, err)
	}
}

// tiny is enough to see that each figure is taken, and none means anything.
func tiny() rig.Size {
	return rig.Size{Pods: 3, DualPods: 1, Joins: 1, NodePods: 3, NodeTurns: 1, SinglePods: 1, Announcements: 2, Restarts: 1, Repeats: 1, Shrink: 100}
}

// TestEveryArea measures everything, a little of it, and leaves nothing.
func TestEveryArea(t *testing.T) {
	labtest.Root(t)
	t.Cleanup(func() { nothingLeft(t) })
	bin := labtest.Build(t)
	for _, a := range areas(false) {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "rows.json")
			b := bench{areas: []area{a}, size: tiny(), bin: bin, log: t.Output()}
			var table bytes.Buffer
			if err := b.run(t.Context(), &table, path); err != nil {
				t.Fatal(err)
			}
			t.Logf("not to be quoted:\n%s", table.String())
			checkRows(t, a, readRows(t, path))
		})
	}
}

// checkRows finds rows that are missing, or that say nothing.
func checkRows(t *testing.T, a area, rows []measure.Row) {
	t.Helper()
	var names []string
	for _, row := range rows {
		names = append(names, row.Name)
		if row.Area != a.name || row.Value <= 0 || row.Unit == "" {
			t.Errorf("row %+v", row)
		}
		alone := row.Peer == "" && row.PeerValue == nil && row.Ratio == nil
		compared := row.Peer != "" && row.PeerValue != nil && *row.PeerValue > 0 && row.Ratio != nil
		if !alone && !compared {
			t.Errorf("row %+v", row)
		}
	}
	if d := cmp.Diff(a.rows, names); d != "" {
		t.Errorf("rows -promised +measured:\n%s", d)
	}
}

// nothingLeft looks for what this process made.
func nothingLeft(t *testing.T) {
	t.Helper()
	left, _ := filepath.Glob(fmt.Sprintf("/dev/shm/fairlead-bench-%d-*", os.Getpid()))
	names, _ := filepath.Glob("/run/netns/flt-*-bench-*")
	for _, path := range names {
		if target, _ := os.Readlink(path); strings.HasPrefix(target, fmt.Sprintf("/proc/%d/", os.Getpid())) {
			left = append(left, path)
		}
	}
	if len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func readRows(t *testing.T, path string) []measure.Row {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var rows []measure.Row
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var row measure.Row
		d := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		d.DisallowUnknownFields()
		if err := d.Decode(&row); err != nil {
			t.Fatalf("%v in %s", err, lines.Text())
		}
		rows = append(rows, row)
	}
	return rows
}
