package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairlead.dev/dataplane/nstest"
)

func TestTally(t *testing.T) {
	ns := nstest.New(t, "tally")
	tally, err := Count(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer tally.Close()
	const routes = 3000
	var batch strings.Builder
	for i := range routes {
		fmt.Fprintf(&batch, "route add blackhole 10.%d.%d.0/24\n", i>>8, i&255)
	}
	file := filepath.Join(t.TempDir(), "batch")
	if err := os.WriteFile(file, []byte(batch.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	if _, err := Run(t.Context(), ns, "ip", "-batch", file); err != nil {
		t.Fatal(err)
	}
	first, last, err := tally.Wait(t.Context(), bound, routes)
	if err != nil || first.Before(before) || last.Before(first) {
		t.Errorf("from %v to %v, begun at %v: %v", first, last, before, err)
	}
	if _, _, err := tally.Wait(t.Context(), time.Millisecond, routes+1); err == nil || !strings.Contains(err.Error(), "3000 of 3001 routes: not within 1ms") {
		t.Errorf("one too many: %v", err)
	}
	tally.Reset()
	// What goes is not counted, what is replaced is.
	for _, verb := range []string{"del", "replace"} {
		if _, err := Run(t.Context(), ns, "ip", "route", verb, "blackhole", "10.0.0.0/24"); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := tally.Wait(t.Context(), bound, 1); err != nil {
		t.Error(err)
	}
	if _, _, err := tally.Wait(t.Context(), time.Millisecond, 2); err == nil {
		t.Error("two routes were counted, of one that came and one that went")
	}
}
