package leases

import (
	"strings"
	"testing"

	"fairlead.dev/hack/bench/measure"
	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/labtest"
)

// A lab without Kubernetes has routers to weigh and no agent: a figure that
// cannot be taken is an error that names the process, and no row.
func TestWhatDoesNotRunIsNotMeasured(t *testing.T) {
	l := labtest.Up(t, lab.Options{NetworkOnly: true})
	bird, err := rss(l, "r1-tor2-bird")
	if err != nil || bird <= 0 {
		t.Errorf("BIRD has %v MiB, %v", bird, err)
	}
	both, err := rss(l, "r1-tor1-bgpd", "r1-tor1-zebra")
	if err != nil {
		t.Fatal(err)
	}
	if one, err := rss(l, "r1-tor1-bgpd"); err != nil || one >= both {
		t.Errorf("bgpd alone has %v MiB of %v, %v", one, both, err)
	}
	err = memory(l, func(row measure.Row) { t.Errorf("row %+v", row) })
	if err == nil || !strings.Contains(err.Error(), "n1-agent") {
		t.Errorf("got %v", err)
	}
	tor := l.Router("r2-tor2")
	if err := tor.Kill9(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := rss(l, "r2-tor2-bird"); err == nil || !strings.Contains(err.Error(), "r2-tor2-bird: it does not run") {
		t.Errorf("a dead router: %v", err)
	}
}

// Whoever watches needs all namespaces, and lets go of those that it has.
func TestJoinerNeedsTheLab(t *testing.T) {
	labtest.Root(t)
	if _, err := newJoiner(&lab.Lab{Instance: "nosuchlab"}); err == nil || !strings.Contains(err.Error(), "fl-nosuchlab-r2-tor1") {
		t.Errorf("got %v", err)
	}
}
