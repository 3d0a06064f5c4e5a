package main

import (
	"strings"
	"testing"

	"fairlead.dev/hack/conformance"
)

// Only what our plugin fails is a failure of the command.
func TestEnd(t *testing.T) {
	failed := []conformance.Outcome{{Verdict: conformance.Failed, Why: "it is so", Log: []string{"seen"}}}
	met := []conformance.Outcome{{Verdict: conformance.Met}}
	row := func(outcomes ...[]conformance.Outcome) conformance.Row {
		return conformance.Row{Obligation: conformance.Obligation{ID: "add-x"}, Outcomes: outcomes}
	}
	var out strings.Builder
	p := printer{w: &out, plugins: []conformance.Plugin{{Name: "ours"}, {Name: "theirs"}}, verbose: true}
	p.row(row(met, failed))
	if err := p.end(); err != nil {
		t.Error(err)
	}
	p.row(row(failed, met))
	if err := p.end(); err == nil || !strings.Contains(err.Error(), "add-x") {
		t.Errorf("got %v", err)
	}
	for _, want := range []string{"ours ✓", "theirs ✗", "theirs 0.3.1: it is so", "seen"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not printed in\n%s", want, &out)
		}
	}
}
