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

// network of a test does nothing but tell.
type fake func(p *pod) (time.Duration, error)

func (f fake) do(_ context.Context, _ string, p *pod) (time.Duration, error) { return f(p) }

// lapOf runs a lap of pods without plugins and tells whose turn it was, pod by
// pod. It fails unless all workers work at once.
func lapOf(t *testing.T, r race, names []string, took func(side string, pod int) time.Duration) (order []string, samples []measure.Sample) {
	t.Helper()
	var mu sync.Mutex
	all := &barrier{size: r.workers}
	ns := nstest.New(t, "lap")
	var sides []side
	for _, name := range names {
		tell := func(p *pod) (time.Duration, error) {
			mu.Lock()
			order = append(order, name+p.id)
			mu.Unlock()
			i, err := strconv.Atoi(p.id)
			return took(name, i), errors.Join(err, all.wait())
		}
		s := side{node: &node{ns: ns, network: fake(tell)}}
		for i := range r.pods {
			s.pods = append(s.pods, &pod{id: strconv.Itoa(i)})
		}
		sides = append(sides, s)
	}
	samples, err := r.lap(t.Context(), add, sides)
	if err != nil {
		t.Fatal(err)
	}
	for i, sample := range samples {
		if len(sample) != r.pods {
			t.Errorf("%d samples of %d pods of %s", len(sample), r.pods, names[i])
		}
	}
	return order, samples
}

func TestTurns(t *testing.T) {
	labtest.Root(t)
	order, samples := lapOf(t, race{workers: 1, pods: 4}, []string{"a", "b", "c"}, func(side string, pod int) time.Duration {
		return map[string]time.Duration{"a": time.Millisecond, "b": time.Second, "c": time.Minute}[side] * time.Duration(pod+1)
	})
	if d := cmp.Diff([]string{"a0", "b0", "c0", "b1", "c1", "a1", "c2", "a2", "b2", "a3", "b3", "c3"}, order); d != "" {
		t.Error(d)
	}
	for i, want := range []float64{2.5, 2500, 150000} {
		if got := samples[i].Median(); got != want {
			t.Errorf("side %d has the median %v, want %v", i, got, want)
		}
	}
}

func TestTurnsAtOnce(t *testing.T) {
	labtest.Root(t)
	order, _ := lapOf(t, race{workers: 4, pods: 60}, []string{"o", "p"}, func(string, int) time.Duration { return time.Second })
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
	fails := fake(func(*pod) (time.Duration, error) { return 0, broken })
	s := side{node: &node{ns: nstest.New(t, "fail"), network: fails}, pods: []*pod{{}, {}}}
	if _, err := (race{workers: 1, pods: 2}).lap(t.Context(), add, []side{s, s}); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func TestConfigureAsARuntime(t *testing.T) {
	conflist, err := install.Conf{RunDir: "/run/x", Bandwidth: true}.Conflist()
	if err != nil {
		t.Fatal(err)
	}
	c, err := newChain(conflist, "", func(kind string) string { return "/bin/" + kind })
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, plugin := range c.plugins {
		conf, err := json.Marshal(plugin.conf)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, plugin.program, string(conf))
	}
	want := []string{
		"/bin/fairlead",
		`{"capabilities":{"ips":true,"mac":true},"cniVersion":"1.0.0","name":"fairlead","runDir":"/run/x","type":"fairlead"}`,
		"/bin/fairlead-bandwidth",
		`{"capabilities":{"bandwidth":true},"cniVersion":"1.0.0","name":"fairlead","type":"fairlead-bandwidth"}`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if _, err := newChain([]byte("{"), "", nil); err == nil {
		t.Error("half a list was read")
	}
}

// script is a plugin that answers with the lines of a shell script.
func script(t *testing.T, lines ...string) plugin {
	t.Helper()
	program := filepath.Join(t.TempDir(), "plugin")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"+strings.Join(lines, "\n")+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return plugin{program, map[string]any{}}
}

// ADD goes through the plugins from first to last, each with the result of the one
// before it, DEL backwards with the last result.
func TestChain(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	answer := func(name string) plugin {
		return script(t, `echo "`+name+` $CNI_COMMAND $(cat)" >>`+log, `echo '"`+name+`"'`)
	}
	c := chain{plugins: []plugin{answer("one"), answer("two")}}
	p := &pod{id: "c1"}
	for _, verb := range []string{add, del} {
		if took, err := c.do(t.Context(), verb, p); err != nil || took <= 0 {
			t.Fatalf("%s took %v, %v", verb, took, err)
		}
	}
	got, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	want := `one ADD {}
two ADD {"prevResult":"one"}
two DEL {"prevResult":"two"}
one DEL {"prevResult":"two"}
`
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Error(d)
	}
}

// What a plugin says goes into the error, and a failed call has no time.
func TestFailedCall(t *testing.T) {
	c := chain{plugins: []plugin{script(t, `echo "{\"msg\":\"$CNI_COMMAND of $CNI_CONTAINERID\"}"`, "exit 1")}}
	took, err := c.do(t.Context(), add, &pod{id: "c1"})
	if err == nil || !strings.Contains(err.Error(), "ADD of c1") || took != 0 {
		t.Errorf("took %v, %v", took, err)
	}
}

// The floor is a network: packets go to the pod and back, if not the very first.
func TestFloorPings(t *testing.T) {
	labtest.Root(t)
	n, err := newNode(t.Context(), living{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.release()
	pods, release, err := n.newPods(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	do := func(verb string) {
		n.ns.Do(t, func() {
			if _, err := n.network.do(t.Context(), verb, pods[0]); err != nil {
				t.Error(err)
			}
		})
	}
	do(add)
	n.ns.Run(t, "ping", "-c", "1", "-w", "20", pods[0].address.String())
	do(del)
	if _, err := rig.Run(t.Context(), n.ns, "ip", "link", "show", pods[0].host); err == nil {
		t.Error("the link is there after DEL")
	}
	if err := release(); err != nil {
		t.Error(err)
	}
}

// After release there is nothing that a later part of the run would pay for.
func TestPodsAreGone(t *testing.T) {
	labtest.Root(t)
	n, err := newNode(t.Context(), nil)
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
