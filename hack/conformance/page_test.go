package conformance_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/hack/conformance"
)

// met are the rows of plugins that meet everything, in every version.
func met(plugins ...conformance.Plugin) []conformance.Row {
	var rows []conformance.Row
	for _, o := range conformance.Obligations() {
		row := conformance.Row{Obligation: o}
		for _, p := range plugins {
			outcomes := make([]conformance.Outcome, len(conformance.Versions()))
			for i, version := range conformance.Versions() {
				if !o.Applies(version) {
					continue
				}
				outcomes[i].Verdict = conformance.Met
				if _, departs := p.Departs[o.ID]; departs {
					outcomes[i].Verdict = conformance.Departed
				}
			}
			row.Outcomes = append(row.Outcomes, outcomes)
		}
		rows = append(rows, row)
	}
	return rows
}

func page(t *testing.T, plugins []conformance.Plugin, rows []conformance.Row) string {
	t.Helper()
	var b strings.Builder
	if err := conformance.Page(&b, plugins, rows); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// rowsOf are the lines about obligations.
func rowsOf(page string) []string {
	tables, _, _ := strings.Cut(page, "\n## What is not met")
	tables, _, _ = strings.Cut(tables, "\n## Where ")
	var rows []string
	for line := range strings.Lines(tables) {
		if strings.HasPrefix(line, "| `") {
			rows = append(rows, strings.TrimSpace(line))
		}
	}
	return rows
}

// The page in the docs has every obligation as it is here, and says of our plugin
// what TestFairlead has found: nothing that is not met.
func TestPageIsOfToday(t *testing.T) {
	text, err := os.ReadFile("../../docs/cni-conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	ours := []conformance.Plugin{conformance.Fairlead("")}
	want := rowsOf(page(t, ours, met(ours...)))
	got := rowsOf(string(text))
	for i := range min(len(got), len(want)) {
		if strings.HasPrefix(got[i], want[i]) { // the reference's columns come after ours
			got[i] = want[i]
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("run make conformance (-want +got):\n%s", diff)
	}
}

func TestPage(t *testing.T) {
	a, b := conformance.Plugin{Name: "a", About: "the first"}, conformance.Plugin{Name: "b", About: "the second"}
	b.Departs = map[string]string{"status-exhausted": "it means to"}
	plugins := []conformance.Plugin{a, b}
	rows := met(plugins...)
	failed := func(why string) conformance.Outcome {
		return conformance.Outcome{Verdict: conformance.Failed, Why: why}
	}
	for i, r := range rows {
		switch r.ID {
		case "add-twice":
			rows[i].Outcomes[0] = []conformance.Outcome{failed("one"), failed("two"), failed("one"), {Verdict: conformance.Met}}
		case "status-exhausted":
			rows[i].Outcomes[1][3].Why = "it is full"
		}
	}
	text := page(t, plugins, rows)
	for _, want := range []string{
		"| a | the first |", "| b | the second |",
		"| MUST | all | ✗✗✗✓ | ✓✓✓✓ |\n",
		"| SHOULD | 1.1.0 on | ···✓ | ···D |\n",
		"| `add-twice` | a | 0.3.1, 1.0.0 | one |\n| `add-twice` | a | 0.4.0 | two |\n",
		"| `status-exhausted` | b | 1.1.0 | it is full; it means to |\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(text, "\u2014") {
		t.Error("there is an em dash")
	}
	if again := page(t, plugins, rows); again != text {
		t.Error("the same outcomes give another page")
	}
}

func TestObligationsAreWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, o := range conformance.Obligations() {
		switch {
		case seen[o.ID]:
			t.Errorf("two obligations are called %s", o.ID)
		case o.Text == "" || !strings.HasSuffix(o.Text, ".") || strings.ContainsAny(o.Text+o.Source, "|\n"):
			t.Errorf("%s: the text is no sentence for a table: %q", o.ID, o.Text)
		case o.Source == "" || o.Level != conformance.Must && o.Level != conformance.Should:
			t.Errorf("%s has no source or level", o.ID)
		case o.Source == "field practice" && o.Level == conformance.Must:
			t.Errorf("%s: what no specification says is no MUST", o.ID)
		}
		seen[o.ID] = true
	}
}
