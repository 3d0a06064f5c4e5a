package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A verdict is the results of a family, without the tests that were not wanted.
type verdict struct {
	passed, bad []result
	excluded    []exclusion
	// stale exclusions name a test that is not there.
	stale []exclusion
}

func judge(f family, results []result, known []exclusion) verdict {
	var v verdict
	for _, r := range results {
		switch r.state {
		case passed:
			v.passed = append(v.passed, r)
		case failed, skipped:
			v.bad = append(v.bad, r)
		}
	}
	for _, e := range known {
		switch there := slices.ContainsFunc(results, func(r result) bool { return r.name == e.name }); {
		case !there:
			v.stale = append(v.stale, e)
		case e.of(f) && f.wants(e.name):
			v.excluded = append(v.excluded, e)
		}
	}
	return v
}

func (e exclusion) of(f family) bool { return len(e.families) == 0 || slices.Contains(e.families, f) }

// wants is true of the tests that are chosen for the family.
func (f family) wants(test string) bool {
	return slices.ContainsFunc(f.focus(), func(expr string) bool { return regexp.MustCompile(expr).MatchString(test) })
}

// err is nil if the cluster is as it must be.
func (v verdict) err(f family) error {
	switch {
	case len(v.bad) > 0:
		return fmt.Errorf("%s: %d of %d tests did not pass", f, len(v.bad), len(v.bad)+len(v.passed))
	case len(v.passed) == 0:
		return fmt.Errorf("%s: no test was run", f)
	case len(v.stale) > 0:
		return fmt.Errorf("hack/e2e/exclusion.go names what is no test: %s", v.stale[0].name)
	}
	return nil
}

// print shows what is not as it must be, and the counts.
func (v verdict) print(w io.Writer, f family, took time.Duration) {
	for _, e := range v.excluded {
		fmt.Fprintf(w, "excluded: %s\n    %s\n", e.name, e.reason)
	}
	for _, r := range v.bad {
		fmt.Fprintf(w, "%s after %v: %s\n%s\n", r.state, r.took.Round(time.Second), r.name, indent(r.reason))
	}
	fmt.Fprintf(w, "%s: %d passed, %d did not, %d excluded, in %v\n",
		f, len(v.passed), len(v.bad), len(v.excluded), took.Round(time.Second))
}

func indent(text string) string { return "    " + strings.ReplaceAll(text, "\n", "\n    ") }
