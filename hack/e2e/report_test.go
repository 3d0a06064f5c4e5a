package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// testdata/report.json is a report of ginkgo 2.27, cut down to the kinds of tests that
// there are: passed, failed, panicked, skipped by itself, not chosen, and the
// suite's own nodes.
func TestReadReport(t *testing.T) {
	f, err := os.Open(filepath.Join("testdata", "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := readReport(f)
	if err != nil {
		t.Fatal(err)
	}
	want := []result{
		{name: "(SynchronizedAfterSuite)", state: failed, reason: "cannot clean up"},
		{name: "[sig-apps] ReplicaSet should not be chosen [Conformance]", state: left},
		{name: "[sig-network] DNS should panic [Conformance]", state: failed, took: time.Second, reason: "Test Panicked assignment to entry in nil map"},
		{name: "[sig-network] DNS should provide DNS for services [Conformance]", state: passed, took: 4 * time.Second},
		{name: "[sig-network] Services should skip itself [Conformance]", state: skipped, took: time.Millisecond, reason: "Requires at least 2 nodes (not 1)"},
		{name: "[sig-network] Services should time out [Conformance]", state: failed, took: 300 * time.Second, reason: "timed out waiting for the condition"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(result{})); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

func TestReadReportOfSuiteAlone(t *testing.T) {
	got, err := readReport(strings.NewReader(`[{"SpecialSuiteFailureReasons": ["Suite Timeout Elapsed"], "SpecReports": null}]`))
	if err != nil {
		t.Fatal(err)
	}
	want := []result{{name: "(suite)", state: failed, reason: "Suite Timeout Elapsed"}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(result{})); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	if _, err := readReport(strings.NewReader("[")); err == nil {
		t.Error("half a report is read")
	}
}
