package start

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestRows(t *testing.T) {
	warm, cold := Rows(false), Rows(true)
	if !slices.Contains(warm, "demo-warm-fairlead-started") || !slices.Contains(warm, "demo-warm-api-server") {
		t.Errorf("rows %v", warm)
	}
	if slices.ContainsFunc(warm, func(name string) bool { return strings.Contains(name, "cold") }) {
		t.Errorf("a warm run promises %v", warm)
	}
	if !slices.Equal(cold[len(cold)-len(warm):], warm) || len(cold) == len(warm) {
		t.Errorf("a cold run promises %v", cold)
	}
}

func TestTimed(t *testing.T) {
	broken := errors.New("broken")
	if took, err := timed(func() error { return broken }); !errors.Is(err, broken) || took <= 0 {
		t.Errorf("took %v, %v", took, err)
	}
}

// The script is found from any folder of the tree, and what it says is told.
func TestSetupFails(t *testing.T) {
	err := setup(t.Context(), "PATH=/nowhere")
	if err == nil || !strings.Contains(err.Error(), "hack/setup.sh") {
		t.Errorf("got %v", err)
	}
}
