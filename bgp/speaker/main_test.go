package speaker_test

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fairlead.dev/bgp"
	"fairlead.dev/bgp/speaker"
	"fairlead.dev/dataplane/nstest"
)

// asSpeaker makes the test binary a speaker that is told what to do on stdin.
const asSpeaker = "FAIRLEAD_TEST_SPEAKER"

// parallel is far above the number of cores: these tests wait for timers.
const parallel = "24"

func TestMain(m *testing.M) {
	if os.Getenv(asSpeaker) != "" {
		if err := serve(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	flag.Parse()
	if err := flag.Set("test.parallel", parallel); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// order is what a speaker process is told, answer what it says to it.
type order struct {
	Apply *bgp.Config `json:",omitempty"`
	// Deferring has the engine hold back what it would send of itself.
	Deferring bool `json:",omitempty"`
	Leave     bool `json:",omitempty"`
	Again     bool `json:",omitempty"`
}

type answer struct {
	Err      string
	Routes   []bgp.Route
	RouteErr string
	Sessions []bgp.Session
	// Changed says that Changes had a value since the answer before.
	Changed bool
}

func serve(in io.Reader, out io.Writer) error {
	ctx := context.Background()
	opts := speaker.Options{Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	s, err := speaker.New(opts)
	if err != nil {
		return err
	}
	orders, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var o order
		if err := orders.Decode(&o); err == io.EOF {
			return nil // without Leave, like any end of the agent
		} else if err != nil {
			return err
		}
		var a answer
		switch {
		case o.Deferring:
			err = s.ApplyDeferring(ctx, *o.Apply)
		case o.Apply != nil:
			err = s.Apply(ctx, *o.Apply)
		case o.Leave:
			err = s.Leave(ctx)
		case o.Again:
			_, err = speaker.New(opts)
		}
		if err != nil {
			a.Err = err.Error()
		}
		err = nil
		select {
		case <-s.Changes():
			a.Changed = true
		default:
		}
		if a.Routes, err = s.Routes(); err != nil {
			a.RouteErr = err.Error()
		}
		a.Sessions, err = s.Sessions(), nil
		if err := answers.Encode(a); err != nil {
			return err
		}
	}
}

// process is a speaker in a process and a network namespace of its own.
type process struct {
	t       *testing.T
	cmd     *exec.Cmd
	orders  *json.Encoder
	answers *json.Decoder
	log     *buffer
	close   func()
}

// startSpeaker runs a speaker in ns. Its log is shown if the test fails.
func startSpeaker(t *testing.T, ns nstest.NS) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nsenter", "--net="+ns.Path(), self)
	cmd.Env = append(os.Environ(), asSpeaker+"=yes")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	log := &buffer{}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: cmd, orders: json.NewEncoder(in), answers: json.NewDecoder(bufio.NewReader(out)), log: log}
	p.close = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if race := ownRace.FindString(log.String()); race != "" {
			t.Errorf("a data race in the speaker: %s", race)
		}
		if t.Failed() {
			t.Logf("speaker's log:\n%s", readable(log.String()))
		}
	})
	t.Cleanup(p.close)
	return p
}

// readable is a log without the engine's talk, unless tests are run with -v.
func readable(log string) string {
	if testing.Verbose() {
		return log
	}
	lines := strings.SplitAfter(log, "\n")
	return strings.Join(slices.DeleteFunc(lines, func(l string) bool { return strings.Contains(l, "level=DEBUG") }), "")
}

// ownRace finds a report of the race detector of which one side is our code.
// GoBGP lists paths while it marks them stale, which harms nobody.
var ownRace = regexp.MustCompile(`(?m)^(Read|Write|Previous read|Previous write) at .*\n +fairlead\.dev/.*$`)

// kill is kill -9.
func (p *process) kill() { p.close() }

func (p *process) tell(o order) answer {
	p.t.Helper()
	if err := p.orders.Encode(o); err != nil {
		p.t.Fatalf("tell speaker: %v", err)
	}
	var a answer
	if err := p.answers.Decode(&a); err != nil {
		p.t.Fatalf("hear speaker: %v", err)
	}
	return a
}

// apply fails the test on an error.
func (p *process) apply(c bgp.Config) {
	p.t.Helper()
	if a := p.tell(order{Apply: &c}); a.Err != "" {
		p.t.Fatalf("apply: %s", a.Err)
	}
}

func (p *process) look() answer { p.t.Helper(); return p.tell(order{}) }

// await looks until ok, at most for limit.
func (p *process) await(limit time.Duration, what string, ok func(answer) bool) answer {
	p.t.Helper()
	return await(p.t, limit, what, p.look, ok)
}

func await(t *testing.T, limit time.Duration, what string, look func() answer, ok func(answer) bool) answer {
	t.Helper()
	var last answer
	eventually(t, limit, what, func() (bool, string) {
		last = look()
		return ok(last), fmt.Sprintf("%+v", last)
	})
	return last
}

// established awaits all sessions.
func (p *process) established(limit time.Duration) answer {
	p.t.Helper()
	return p.await(limit, "all sessions established", func(a answer) bool {
		for _, s := range a.Sessions {
			if s.State != bgp.Established {
				return false
			}
		}
		return len(a.Sessions) > 0
	})
}

// eventually polls until ok, and fails the test after limit with what was last
// seen.
func eventually(t *testing.T, limit time.Duration, what string, ok func() (bool, string)) {
	t.Helper()
	const interval = 50 * time.Millisecond
	tick := time.NewTicker(interval)
	defer tick.Stop()
	end := time.After(limit)
	for {
		done, seen := ok()
		if done {
			return
		}
		select {
		case <-end:
			t.Fatalf("not within %s: %s; last seen:\n%s", limit, what, seen)
		case <-tick.C:
		}
	}
}

// buffer is a bytes.Buffer for a process and its test.
type buffer struct {
	mu   sync.Mutex
	data []byte
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.data = append(b.data, p...)
	return len(p), nil
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.data)
}
