package load

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Count is the outcome of a load.
type Count struct {
	Answered int
	// Failed requests by what was said of them.
	Failed map[string]int
	// Slowest is how long the slowest answer took.
	Slowest time.Duration
	// Took is how long was asked.
	Took time.Duration
}

// Rate is how many requests a second ended, answered or not.
func (c Count) Rate() float64 { return float64(c.Answered+c.Failures()) / c.Took.Seconds() }

// Failures counts all that failed.
func (c Count) Failures() int {
	sum := 0
	for _, n := range c.Failed {
		sum += n
	}
	return sum
}

func (c Count) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d answered, %d failed, %.0f a second, slowest %v", c.Answered, c.Failures(), c.Rate(), c.Slowest.Round(time.Millisecond))
	for _, reason := range slices.Sorted(maps.Keys(c.Failed)) {
		fmt.Fprintf(&b, "\n%6d: %s", c.Failed[reason], reason)
	}
	return b.String()
}

// tally may be used by several goroutines.
type tally struct {
	mu       sync.Mutex // guards what follows
	answered int
	failed   map[string]int
	slowest  time.Duration
	began    time.Time
	ended    time.Time // zero while it is asked
}

func (t *tally) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.began = time.Now()
}

func (t *tally) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = time.Now()
}

func (t *tally) succeed(took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answered++
	t.slowest = max(t.slowest, took)
}

func (t *tally) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed == nil {
		t.failed = map[string]int{}
	}
	t.failed[reason(err)]++
}

func (t *tally) count() Count {
	t.mu.Lock()
	defer t.mu.Unlock()
	ended := t.ended
	if ended.IsZero() {
		ended = time.Now()
	}
	return Count{Answered: t.answered, Failed: maps.Clone(t.failed), Slowest: t.slowest, Took: ended.Sub(t.began)}
}

// reason leaves out what is different for each request, ports first of all.
func reason(err error) string {
	var asked *url.Error
	if errors.As(err, &asked) {
		if asked.Timeout() {
			return fmt.Sprintf("no answer within %v", timeout)
		}
		err = asked.Err
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Op + ": " + op.Err.Error()
	}
	return err.Error()
}
