package conformance

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-cmp/cmp"
)

// Verdict of a trial.
type Verdict int

// Verdicts.
const (
	// NotTried: the obligation is not of that version, or the plugin does not
	// serve the version.
	NotTried Verdict = iota
	Met
	Failed
	// Departed is a failure that the plugin means.
	Departed
)

// Outcome of a trial.
type Outcome struct {
	Verdict Verdict
	// Why it failed, in words that are the same in each run.
	Why string
	// Log is what was seen, for people.
	Log []string
}

// String is all of it, for people.
func (o Outcome) String() string { return o.Why + "\n" + strings.Join(o.Log, "\n") }

// Trial is one obligation asked of one plugin in one version. Its methods, and
// those of its node and containers, end the trial when something is not as it
// must be: all of them are for the goroutine of the trial, unless they say
// otherwise.
type Trial struct {
	version string
	plugin  Plugin
	// scratch is a folder of the trial's own.
	scratch string
	why     string
	// broken is why the trial itself could not be held.
	broken error
	atEnd  []func()

	mu  sync.Mutex // guards log
	log []string
}

// Try holds a trial, with a scratch folder for its own use. The error is the
// suite's own, and no verdict.
func (o Obligation) Try(p Plugin, version, scratch string) (Outcome, error) {
	t := &Trial{version: version, plugin: p, scratch: scratch}
	done := make(chan bool)
	go func() {
		finished := false
		defer func() { done <- finished }() // also when the trial ends its goroutine
		defer t.cleanUp()
		o.try(t)
		finished = true
	}()
	finished := <-done
	out := Outcome{Verdict: Met, Why: t.why, Log: t.log}
	_, departs := p.Departs[o.ID]
	switch {
	case t.broken != nil:
		return out, fmt.Errorf("%s of %s %s: %w", o.ID, p.Name, version, t.broken)
	case !finished && t.why == "":
		return out, fmt.Errorf("%s of %s %s ended without a verdict", o.ID, p.Name, version)
	case !finished && departs:
		out.Verdict = Departed
	case !finished:
		out.Verdict = Failed
	case departs:
		return out, fmt.Errorf("%s is met by %s %s, which is said to depart from it: %s", o.ID, p.Name, version, p.Departs[o.ID])
	}
	return out, nil
}

func (t *Trial) cleanUp() {
	for _, f := range slices.Backward(t.atEnd) {
		f()
	}
}

// fail ends the trial: the obligation is not met. What is formatted must be the
// same in each run.
func (t *Trial) fail(format string, args ...any) {
	t.why = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// must ends the trial if its own work failed.
func (t *Trial) must(err error) {
	if err != nil {
		t.broken = err
		runtime.Goexit()
	}
}

// note adds to the log. It may be called from any goroutine.
func (t *Trial) note(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.log = append(t.log, fmt.Sprintf(format, args...))
}

// since says that the trial's version is that or a later one.
func (t *Trial) since(version string) bool { return !before(t.version, version) }

// same fails if two looks at something differ.
func (t *Trial) same(what string, was, is []string) {
	if diff := cmp.Diff(was, is); diff != "" {
		t.note("%s (-before +after):\n%s", what, diff)
		t.fail("%s changed", what)
	}
}

// succeeds fails if a call of the plugin did.
func (t *Trial) succeeds(a Answer, what string) {
	t.ended(a, what)
	if a.Status != 0 {
		t.fail("%s fails%s", what, a.withCode())
	}
}

// refuses fails if a call of the plugin succeeded.
func (t *Trial) refuses(a Answer, what string) {
	t.ended(a, what)
	if a.Status == 0 {
		t.fail("%s succeeds", what)
	}
}

// refusesWith is refuses, with an error of one of those codes. The specification
// has codes for what a caller did wrong since 0.4.0.
func (t *Trial) refusesWith(a Answer, what string, codes ...uint) {
	t.refuses(a, what)
	if !t.since(v040) {
		return
	}
	f, err := a.failure()
	switch {
	case err != nil:
		t.fail("%s: no error object on standard output", what)
	case !slices.Contains(codes, f.Code):
		t.fail("%s fails with code %d, want %s", what, f.Code, list(codes))
	}
}

// ended fails if the plugin had to be killed.
func (t *Trial) ended(a Answer, what string) {
	if errors.Is(a.Err, errHangs) {
		t.fail("%s does not end", what)
	}
	t.must(a.Err)
}

func list(codes []uint) string {
	text := fmt.Sprint(codes[0])
	for _, c := range codes[1:] {
		text += fmt.Sprintf(" or %d", c)
	}
	return text
}
