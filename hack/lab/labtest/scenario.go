package labtest

import (
	"context"
	"errors"
	"testing"
	"time"

	"fairlead.dev/hack/lab"
)

// Scenario is a part of a test that shares its lab with others, and leaves the lab
// as it found it.
type Scenario struct {
	Name string
	Run  func(*testing.T)
}

// Run runs scenarios one after the other, each once the lab is as it is without
// them, which settled waits for, or nothing if it is nil. When it does not get there, or a process of the
// lab has ended by itself, nothing is worth trying any more.
func Run(t *testing.T, l *lab.Lab, settled func(context.Context) error, scenarios []Scenario) {
	unsettled := false
	for _, scenario := range scenarios {
		t.Run(scenario.Name, func(t *testing.T) {
			if err := l.Dead(); err != nil {
				t.Skip("a process of the lab ended by itself before")
			}
			if unsettled {
				t.Skip("the lab did not come to rest before")
			}
			if settled != nil {
				if err := settled(t.Context()); err != nil {
					unsettled = true
					t.Fatal(err)
				}
			}
			began := time.Now()
			scenario.Run(t)
			t.Logf("took %v", time.Since(began).Round(100*time.Millisecond))
		})
	}
}

// tick is between two tries of Eventually.
const tick = 100 * time.Millisecond

// Eventually calls try until it returns nil and fails the test with its last
// error if that is not within the bound. It returns how long it took.
func Eventually(t testing.TB, l *lab.Lab, bound time.Duration, what string, try func(context.Context) error) time.Duration {
	t.Helper()
	for began := time.Now(); ; {
		err := try(t.Context())
		took := time.Since(began)
		if err == nil {
			return took
		}
		if dead := l.Dead(); dead != nil {
			t.Fatalf("%s: %v", what, dead)
		}
		if took > bound {
			t.Fatalf("%s: not within %v: %v", what, bound, err)
		}
		select {
		case <-t.Context().Done():
			t.Fatal(what, errors.Join(t.Context().Err(), err))
		case <-time.After(tick):
		}
	}
}
