package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// A result is one test of the suite, and how it ended.
type result struct {
	name  string
	state state
	took  time.Duration
	// reason that it failed, or that it skipped itself.
	reason string
}

type state string

const (
	passed state = "passed"
	failed state = "failed"
	// skipped by the test itself, which found that it cannot judge this cluster.
	skipped state = "skipped"
	// left is a test that was not chosen.
	left state = "left"
)

// suiteReport is what we read of ginkgo's report, its types.Report.
type suiteReport struct {
	SpecialSuiteFailureReasons []string
	SpecReports                []struct {
		ContainerHierarchyTexts []string
		LeafNodeType            string
		LeafNodeText            string
		State                   string
		RunTime                 time.Duration
		Failure                 struct{ Message, ForwardedPanic string }
	}
}

// readReport returns all tests of the suite, by name. A node of the whole suite
// that failed, such as its preparation, is among them.
func readReport(r io.Reader) ([]result, error) {
	var suites []suiteReport
	if err := json.NewDecoder(r).Decode(&suites); err != nil {
		return nil, fmt.Errorf("read report of ginkgo: %w", err)
	}
	var results []result
	for _, s := range suites {
		for _, spec := range s.SpecReports {
			r := result{
				name: strings.Join(append(spec.ContainerHierarchyTexts, spec.LeafNodeText), " "), took: spec.RunTime,
				reason: strings.TrimSpace(spec.Failure.Message + " " + spec.Failure.ForwardedPanic),
			}
			switch {
			case spec.State == "passed":
				r.state = passed
			case spec.State != "skipped" && spec.State != "pending":
				r.state = failed
			case r.reason != "":
				r.state = skipped
			default: // ginkgo gives no reason then
				r.state = left
			}
			if spec.LeafNodeType != "It" {
				if r.state != failed {
					continue
				}
				r.name = "(" + spec.LeafNodeType + ")"
			}
			results = append(results, r)
		}
		for _, reason := range s.SpecialSuiteFailureReasons {
			if reason != "" {
				results = append(results, result{name: "(suite)", state: failed, reason: reason})
			}
		}
	}
	slices.SortFunc(results, func(a, b result) int { return strings.Compare(a.name, b.name) })
	return results, nil
}
