package main

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestJudge(t *testing.T) {
	good := result{name: "[sig-network] good [Conformance]", state: passed}
	bad := result{name: "[sig-network] bad [Conformance]", state: failed, reason: "first line\nsecond line"}
	skip := result{name: "[sig-network] skip [Conformance]", state: skipped, reason: "not here"}
	out := result{name: "[sig-network] out [Conformance]", state: left}
	for name, c := range map[string]struct {
		family  family
		results []result
		known   []exclusion
		err     string // "" is none
		says    string
	}{
		"all passed":               {ipv4, []result{good, out}, nil, "", "ipv4: 1 passed, 0 did not, 0 excluded"},
		"a failure":                {ipv6, []result{good, bad}, nil, "1 of 2 tests", "    first line\n    second line"},
		"a test that skips itself": {ipv4, []result{good, skip}, nil, "1 of 2 tests", "skipped after 0s"},
		"nothing ran":              {dual, []result{out}, nil, "no test", "0 passed"},
		"an exclusion":             {ipv4, []result{good, out}, []exclusion{{name: out.name, reason: "why"}}, "", "1 excluded"},
		"of another family":        {ipv4, []result{good, out}, []exclusion{{name: out.name, families: []family{ipv6}}}, "", "0 excluded"},
		"of no test":               {ipv4, []result{good, out}, []exclusion{{name: "gone"}}, "no test: gone", "0 excluded"},
	} {
		t.Run(name, func(t *testing.T) {
			v := judge(c.family, c.results, c.known)
			if err := v.err(c.family); (err == nil) != (c.err == "") || (err != nil && !strings.Contains(err.Error(), c.err)) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			var text strings.Builder
			v.print(&text, c.family, time.Minute)
			if !strings.Contains(text.String(), c.says) {
				t.Errorf("printed %q, want %q", text.String(), c.says)
			}
		})
	}
}

// Only the dual-stack cluster has tests of its own, and so their exclusions.
func TestWants(t *testing.T) {
	for test, want := range map[string][]bool{
		"[sig-network] DNS should provide DNS for services [Conformance]":                                {true, true, true},
		"[sig-network] [Feature:IPv6DualStack] should have ipv4 and ipv6 internal node ip":               {false, false, true},
		"[sig-network] Services should be able to up and down services":                                  {false, false, false},
		"[sig-apps] Job should apply changes to a job status [Conformance]":                              {false, false, false},
		"[sig-network] Networking Granular Checks: Pods should function for http [NodeConformance]":      {false, false, false},
		"[sig-network] Networking Granular Checks: Pods should function [NodeConformance] [Conformance]": {true, true, true},
	} {
		for i, f := range families() {
			if f.wants(test) != want[i] {
				t.Errorf("%s wants %q: %v", f, test, !want[i])
			}
		}
	}
}

// Whoever reads the page must find what is not run.
func TestExclusionsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/e2e-upstream.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range exclusions() {
		if e.reason == "" || !strings.Contains(string(page), "| `"+e.name+"` |") {
			t.Errorf("docs/e2e-upstream.md does not tell of %s", e.name)
		}
	}
}
