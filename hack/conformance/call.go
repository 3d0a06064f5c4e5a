package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"fairlead.dev/dataplane/nstest"
)

// callBound ends a plugin that does not end by itself. It is long, as the
// machine may be busy.
const callBound = time.Minute

// errHangs is a plugin that had to be killed.
var errHangs = errors.New("the plugin did not end by itself")

// call is one execution of a plugin.
type call struct {
	// env is the whole environment, but for PATH.
	env map[string]string
	// conf is what goes to standard input, unless stdin is set.
	conf  map[string]any
	stdin []byte
	// full makes every write to standard output fail.
	full bool
}

// change of a call, away from what a runtime does.
type change func(*call)

func with(name, value string) change    { return func(c *call) { c.env[name] = value } }
func without(name string) change        { return func(c *call) { delete(c.env, name) } }
func key(name string, value any) change { return func(c *call) { c.conf[name] = value } }
func noKey(name string) change          { return func(c *call) { delete(c.conf, name) } }
func input(stdin string) change         { return func(c *call) { c.stdin = []byte(stdin) } }
func fullOutput(c *call)                { c.full = true }

// Answer is what a plugin said, and how it ended.
type Answer struct {
	Status         int
	Stdout, Stderr string
	// Err is errHangs, or why the plugin could not be executed at all.
	Err error
}

// do executes the plugin on a node.
func (c call) do(ns nstest.NS, program string) Answer {
	stdin := c.stdin
	if stdin == nil {
		var err error
		if stdin, err = json.Marshal(c.conf); err != nil {
			return Answer{Err: err}
		}
	}
	x := execution{ns: ns, program: program, stdin: stdin, env: c.environment()}
	if !c.full {
		return x.run(context.Background())
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		return Answer{Err: err}
	}
	defer full.Close()
	x.stdout = full
	return x.run(context.Background())
}

func (c call) environment() []string {
	env := []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	for _, name := range slices.Sorted(maps.Keys(c.env)) {
		env = append(env, name+"="+c.env[name])
	}
	return env
}

// execution is that of a plugin inside a namespace, by a runtime that is there.
type execution struct {
	ns      nstest.NS
	program string
	stdin   []byte
	env     []string
	// stdout is read unless it is given.
	stdout *os.File
}

func (x execution) run(ctx context.Context) Answer {
	ctx, cancel := context.WithTimeoutCause(ctx, callBound, errHangs)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, x.program)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = x.env, bytes.NewReader(x.stdin), &stdout, &stderr
	if x.stdout != nil {
		cmd.Stdout = x.stdout
	}
	cmd.WaitDelay = callBound // what it started may hold its standard files
	err := x.ns.Inside(cmd.Run)
	a := Answer{Stdout: stdout.String(), Stderr: stderr.String()}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		a.Err = context.Cause(ctx)
	case errors.Is(err, exec.ErrWaitDelay):
		a.Err = errHangs
	case errors.As(err, &exit):
		a.Status = exit.ExitCode()
	default:
		a.Err = err
	}
	return a
}

// failure is the error object of the specification.
type failure struct {
	CNIVersion   string
	Code         uint
	Msg, Details string
}

// failure reads the error object.
func (a Answer) failure() (failure, error) {
	var f failure
	if err := only(a.Stdout, &f); err != nil {
		return f, err
	}
	if f.Code == 0 {
		return f, errors.New("the error has no code")
	}
	return f, nil
}

// withCode is the end of a sentence about a failure.
func (a Answer) withCode() string {
	f, err := a.failure()
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" with code %d", f.Code)
}

// says finds a word in the error.
func (f failure) says(word string) bool { return strings.Contains(f.Msg+" "+f.Details, word) }

// only decodes text that is one JSON value and nothing else.
func only(text string, into any) error {
	d := json.NewDecoder(strings.NewReader(text))
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more than one JSON value")
	}
	return nil
}
