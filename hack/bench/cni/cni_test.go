package cni

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/cniplugin/install"
	"fairlead.dev/dataplane/nstest"
	"fairlead.dev/hack/bench/measure"
	"fairlead.dev/hack/bench/rig"
	"fairlead.dev/hack/lab/labtest"
)

// barrier lets nobody on until so many are there.
type barrier struct {
	size int

	mu    sync.Mutex // guards all below
	there int
	open  chan struct{}
}

func (b *barrier) wait() error {
	b.mu.Lock()
	if b.there++; b.there == 1 {
		b.open = make(chan struct{})
	}
	open := b.open
	if b.there == b.size {
		b.there = 0
		close(open)
	}
	b.mu.Unlock()
	select {
	case <-open:
		return nil
	case <-time.After(20 * time.Second):
		return fmt.Errorf("fewer than %d are at work at once", b.size)
	}
}

// lapOf runs a lap of pods without plugins and tells whose turn it was, pod by
// pod. It fails unless all workers work at once.
func lapOf(t *testing.T, r race, took func(side string, pod int) time.Duration) (order []string, p measure.Pair) {
	t.Helper()
	var mu sync.Mutex
	all := &barrier{size: r.workers}
	ns := nstest.New(t, "lap")
	newSide := func(name string) side {
		s := side{node: &node{ns: ns}}
		for i := range r.pods {
			s.pods = append(s.pods, &pod{id: strconv.Itoa(i)})
		}
		s.do = func(_ *node, _ context.Context, p *pod) (time.Duration, error) {
			mu.Lock()
			order = append(order, name+p.id)
			mu.Unlock()
			i, err := strconv.Atoi(p.id)
			return took(name, i), errors.Join(err, all.wait())
		}
		return s
	}
	p, err := r.lap(t.Context(), newSide("o"), newSide("p"))
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Ours) != r.pods || len(p.Peer) != r.pods {
		t.Errorf("%d and %d samples of %d pods", len(p.Ours), len(p.Peer), r.pods)
	}
	return order, p
}

func TestTurns(t *testing.T) {
	labtest.Root(t)
	order, p := lapOf(t, race{workers: 1, pods: 4}, func(side string, pod int) time.Duration {
		return map[string]time.Duration{"o": time.Millisecond, "p": time.Second}[side] * time.Duration(pod+1)
	})
	if d := cmp.Diff([]string{"o0", "p0", "p1", "o1", "o2", "p2", "p3", "o3"}, order); d != "" {
		t.Error(d)
	}
	if p.Ours.Median() != 2.5 || p.Peer.Median() != 2500 {
		t.Errorf("measured %+v", p)
	}
}

func TestTurnsAtOnce(t *testing.T) {
	labtest.Root(t)
	order, _ := lapOf(t, race{workers: 4, pods: 60}, func(string, int) time.Duration { return time.Second })
	var whose []string
	for _, o := range order {
		whose = append(whose, o[:1])
	}
	// 20 of each, then 20 of each the other way round, and again.
	if got, want := slices.Compact(whose), []string{"o", "p", "o", "p"}; !slices.Equal(got, want) {
		t.Errorf("turns of %v, want %v", got, want)
	}
	slices.Sort(order)
	if len(slices.Compact(order)) != 120 {
		t.Error("a pod was left out")
	}
}

func TestAFailureEndsTheLap(t *testing.T) {
	broken := errors.New("broken")
	ns := nstest.New(t, "fail")
	fails := side{
		node: &node{ns: ns}, pods: []*pod{{}, {}},
		do: func(*node, context.Context, *pod) (time.Duration, error) { return 0, broken },
	}
	if _, err := (race{workers: 1, pods: 2}).lap(t.Context(), fails, fails); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func TestConfigureAsARuntime(t *testing.T) {
	conflist, err := install.Conf{RunDir: "/run/x"}.Conflist()
	if err != nil {
		t.Fatal(err)
	}
	var n node
	if err := n.configure(conflist); err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(n.conf)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(`{"cniVersion":"1.0.0","name":"fairlead","runDir":"/run/x","type":"fairlead"}`, string(got)); d != "" {
		t.Error(d)
	}
	if err := n.configure([]byte("{")); err == nil {
		t.Error("half a list was read")
	}
}

// What a plugin says goes into the error, and a failed call has no time.
func TestFailedCall(t *testing.T) {
	labtest.Root(t)
	program := filepath.Join(t.TempDir(), "plugin")
	script := "#!/bin/sh\necho \"{\\\"msg\\\":\\\"$CNI_COMMAND of $CNI_CONTAINERID\\\"}\"\nexit 1\n"
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	n := &node{program: program, conf: map[string]any{}}
	took, err := n.add(t.Context(), &pod{id: "c1"})
	if err == nil || !strings.Contains(err.Error(), "ADD of c1") || took != 0 {
		t.Errorf("took %v, %v", took, err)
	}
}

// After release there is nothing that a later part of the run would pay for.
func TestPodsAreGone(t *testing.T) {
	labtest.Root(t)
	n, err := newNode(t.Context(), "node")
	if err != nil {
		t.Fatal(err)
	}
	defer n.release()
	pods, release, err := n.newPods(t.Context(), 5)
	if err != nil {
		t.Fatal(err)
	}
	n.ns.Run(t, "ip", "link", "add", "probe", "type", "veth", "peer", "name", "probe", "netns", pods[0].ns.Name)
	if err := release(); err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{"probe", "sentinel"} {
		if _, err := rig.Run(t.Context(), n.ns, "ip", "link", "show", link); err == nil {
			t.Errorf("link %s is there after the pods' end", link)
		}
	}
	for _, p := range pods {
		if _, err := os.Stat(p.ns.Path()); err == nil {
			t.Errorf("%s is left", p.ns.Name)
		}
	}
}
