package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// ginkgo is a folder with a stand-in for ginkgo: a shell script.
func ginkgo(t *testing.T, script string) suite {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ginkgo"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	return suite{bin: dir, kubeconfig: "/kubeconfig", enter: []string{"env"}, procs: 2, timeout: time.Minute}
}

func TestRunReadsReport(t *testing.T) {
	report, err := filepath.Abs("testdata/report.json")
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	// ginkgo exits with 1 where a test failed.
	results, err := ginkgo(t, "cp "+report+" "+filepath.Join(out, reportFile)+"; echo said; exit 1\n").run(t.Context(), out)
	if err != nil || len(results) != 6 {
		t.Errorf("%d results, error %v", len(results), err)
	}
	if said, err := os.ReadFile(filepath.Join(out, "output.log")); err != nil || string(said) != "said\n" {
		t.Errorf("output %q, %v", said, err)
	}
}

func TestRunWithoutReport(t *testing.T) {
	_, err := ginkgo(t, "echo no such flag; exit 2\n").run(t.Context(), t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "no such flag") {
		t.Errorf("error %v, want what ginkgo said", err)
	}
}

// A report of an earlier run is not this run's.
func TestRunRemovesOldReport(t *testing.T) {
	out := t.TempDir()
	if err := os.WriteFile(filepath.Join(out, reportFile), []byte("[]"), 0o600); err != nil {
		t.Fatal(err)
	}
	if results, err := ginkgo(t, "exit 1\n").run(t.Context(), out); err == nil {
		t.Errorf("results %v", results)
	}
}

// ginkgo is asked to end, so that it removes what its tests made.
func TestRunInterrupted(t *testing.T) {
	out := t.TempDir()
	started, ended := filepath.Join(out, "started"), filepath.Join(out, "ended")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat(started); err == nil {
				cancel()
			}
			time.Sleep(time.Millisecond)
		}
	}()
	_, err := ginkgo(t, "trap 'echo > "+ended+"; exit 1' INT\necho > "+started+"\nwhile :; do sleep 0.01; done\n").run(ctx, out)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(ended); err != nil {
		t.Errorf("ginkgo was not asked: %v", err)
	}
}

func TestCommand(t *testing.T) {
	s := suite{bin: "/bin", nodes: 3, enter: []string{"enter", "here"}, focus: []string{"a", "b"}, skip: []string{"[c]"}}
	line := s.command("/out")
	for _, want := range []string{"--focus=a", "--focus=b", `--skip=\[c\]`, "/bin/e2e.test", "--num-nodes=3"} {
		if !slices.Contains(line, want) {
			t.Errorf("%q is not in %q", want, line)
		}
	}
	if !slices.Equal(line[:3], []string{"enter", "here", "/bin/ginkgo"}) || !slices.Equal(s.enter, []string{"enter", "here"}) {
		t.Errorf("line %q, enter %q", line, s.enter)
	}
}

func TestParse(t *testing.T) {
	for args, want := range map[string]string{
		"-family ipx":     "unknown family",
		"-family ipv4 x":  "unknown argument",
		"-instance a":     "needs -family",
		"":                "",
		"-family=":        "",
		"-family ipv6":    "",
		"-focus nonsense": "",
	} {
		o, err := parse(strings.Fields(args))
		if (err == nil) != (want == "") || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: error %v, want %q", args, err, want)
		}
		if err == nil && len(o.families) != map[bool]int{true: 1, false: 3}[args == "-family ipv6"] {
			t.Errorf("%q: families %v", args, o.families)
		}
	}
}
