package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"time"
)

// A family is a kind of cluster: which addresses its pods and Services have.
type family string

const (
	ipv4 family = "ipv4"
	ipv6 family = "ipv6"
	dual family = "dual"
)

func families() []family { return []family{ipv4, ipv6, dual} }

// focus is what is run in a cluster of that family, as regular expressions.
func (f family) focus() []string {
	focus := []string{`\[sig-network\].*\[Conformance\]`}
	if f == dual {
		focus = append(focus, `\[sig-network\].*\[Feature:IPv6DualStack\]`)
	}
	return focus
}

// A suite is upstream's tests, ready to be run against a cluster.
type suite struct {
	bin        string // folder of e2e.test and ginkgo
	kubeconfig string
	enter      []string // what runs a command where the cluster can be reached
	nodes      int      // of the cluster: tests that need some skip themselves otherwise
	procs      int
	timeout    time.Duration
	focus      []string // expressions of the tests to run
	skip       []string // names of those not to
}

// grace is what ginkgo has to remove the tests' namespaces when it is interrupted.
const grace = 30 * time.Second

const reportFile = "report.json"

// run leaves its output and its report in the folder out. That tests failed is
// no error.
func (s suite) run(ctx context.Context, out string) ([]result, error) {
	if err := os.Remove(filepath.Join(out, reportFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove report of an earlier run: %w", err)
	}
	log, err := os.Create(filepath.Join(out, "output.log"))
	if err != nil {
		return nil, fmt.Errorf("run suite: %w", err)
	}
	defer log.Close()
	line := s.command(out)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = grace
	var exit *exec.ExitError
	runErr := cmd.Run()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("run suite: %w", context.Cause(ctx))
	}
	if runErr != nil && !errors.As(runErr, &exit) {
		return nil, fmt.Errorf("run suite: %w", runErr)
	}
	report, err := os.Open(filepath.Join(out, reportFile))
	if err != nil {
		return nil, fmt.Errorf("run suite: %w (%w)\n%s", err, runErr, tail(log.Name()))
	}
	defer report.Close()
	return readReport(report)
}

// command is the line to be executed.
func (s suite) command(out string) []string {
	line := append(slices.Clone(s.enter), filepath.Join(s.bin, "ginkgo"), "run",
		fmt.Sprintf("--procs=%d", s.procs), "--timeout="+s.timeout.String(), "--no-color",
		"--output-dir="+out, "--json-report="+reportFile)
	for _, f := range s.focus {
		line = append(line, "--focus="+f)
	}
	for _, name := range s.skip {
		line = append(line, "--skip="+regexp.QuoteMeta(name))
	}
	return append(line, filepath.Join(s.bin, "e2e.test"), "--",
		"--provider=skeleton", "--kubeconfig="+s.kubeconfig, fmt.Sprintf("--num-nodes=%d", s.nodes), "--disable-log-dump")
}

// tail is the last of a file, for people.
func tail(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	if stat, err := f.Stat(); err == nil {
		_, _ = f.Seek(max(0, stat.Size()-2000), io.SeekStart)
	}
	text, _ := io.ReadAll(f)
	return string(text)
}
