package demo

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/labtest"
)

func TestDemo(t *testing.T) {
	labtest.Root(t)
	var out bytes.Buffer
	err := Run(t.Context(), Options{Instance: "demotest", Bin: labtest.Build(t), Command: "lab", Out: &out, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, "PASS: 10 checks") {
		t.Errorf("the last line is %q", last)
	}
	// It is to be read by a person.
	if len(lines) > 170 {
		t.Errorf("%d lines", len(lines))
	}
	for _, c := range chapters() {
		if !strings.Contains(out.String(), c.title) {
			t.Errorf("chapter %q is missing", c.title)
		}
	}
	if _, err := lab.Open("demotest", slog.New(slog.DiscardHandler)); err == nil {
		t.Error("the lab is still up")
	}
}

func TestFailureIsSaid(t *testing.T) {
	labtest.Root(t)
	var out bytes.Buffer
	err := Run(t.Context(), Options{Instance: "demotest", Bin: t.TempDir(), Out: &out, Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		t.Fatal("Run succeeded without Fairlead's programs")
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, "FAIL after ") || !strings.Contains(last, "make build") {
		t.Errorf("the last line is %q", last)
	}
}

func TestCheckPath(t *testing.T) {
	to := lab.Pod{Name: "d"}
	way := func(roles ...string) []lab.Hop {
		var hops []lab.Hop
		for _, r := range roles {
			hops = append(hops, lab.Hop{Address: netip.MustParseAddr("10.0.0.1"), Role: r})
		}
		return hops
	}
	if err := checkPath(way("n1", "r1-tor1", "s1", "r2-tor1", "n4", "pod-d"), to); err != nil {
		t.Error(err)
	}
	for _, bad := range [][]lab.Hop{
		nil,
		way("n1", "n4", "pod-d"),
		way("n1", "r1-tor1", "s1", "r2-tor1", "n4", "pod-c"),
		way("n1", "r1-tor1", "s1", "n3", "n4", "pod-d"),
	} {
		if err := checkPath(bad, to); err == nil {
			t.Errorf("%v was accepted", bad)
		}
	}
}

func TestCuts(t *testing.T) {
	text := "greeting\r\n\r\nNeighbor V\r\na 1\r\n\r\nTotal 1\r\n"
	if got := fromLine(text, "Neighbor "); got != "Neighbor V\na 1" {
		t.Errorf("fromLine: %q", got)
	}
	if got := fromLine(text, "nothing"); got != text {
		t.Errorf("fromLine without its mark: %q", got)
	}
	if got := grep("a BGP b\nc\n", " BGP "); got != "a BGP b\n" {
		t.Errorf("grep: %q", got)
	}
}
