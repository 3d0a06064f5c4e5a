// Package labtest gives tests a lab of their own: gone when the test ends, told
// about when it fails.
package labtest

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"testing"
	"time"

	"fairlead.dev/hack/lab"
)

// Root skips the test without root, and fails it in CI (CI=true).
func Root(t testing.TB) {
	t.Helper()
	switch {
	case os.Geteuid() == 0:
	case os.Getenv("CI") == "true":
		t.Fatal("needs root to make network namespaces")
	default:
		t.Skip("needs root to make network namespaces")
	}
}

// Up brings a lab up for the test, with programs built from the tree unless
// opts.Bin names some, and takes it down at its end, after the lab's state was
// logged if the test failed. A process of the lab that ended by itself fails the test.
func Up(t testing.TB, opts lab.Options) *lab.Lab {
	t.Helper()
	Root(t)
	if opts.Log == nil {
		opts.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	if opts.Diagnosis == nil {
		opts.Diagnosis = t.Output()
	}
	if opts.Bin == "" && !opts.NetworkOnly {
		opts.Bin = Build(t)
	}
	start := time.Now()
	l, err := lab.Up(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("lab %s is up after %v", l.Instance, time.Since(start).Round(time.Millisecond))
	End(t, l)
	return l
}

// Ended is what End ends: a lab, or what stands on one.
type Ended interface {
	Dead() error
	Diagnose(ctx context.Context, w io.Writer)
	Down(ctx context.Context) error
}

// End takes a lab down at the end of the test, as Up says.
func End(t testing.TB, l Ended) {
	t.Cleanup(func() {
		// The test's own context has ended by now.
		ctx := context.WithoutCancel(t.Context())
		if err := l.Dead(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			var b bytes.Buffer
			l.Diagnose(ctx, &b)
			t.Log(b.String())
		}
		if err := l.Down(ctx); err != nil {
			t.Error(err)
		}
	})
}
