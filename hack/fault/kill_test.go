package fault_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/cniplugin/store"
	"fairlead.dev/hack/fault"
)

// verb is one that is killed at each of its points.
type verb struct {
	name string
	// ipam is set for the verb of fairlead-ipam.
	ipam bool
	// before is run first, on the same pod; "" for nothing.
	before string
	// floor is how many points of a kind a traced run has at least. Fewer mean
	// that the tracer has gone blind, or that the plugin does the same with fewer
	// calls: then, and only then, lower the figure.
	floor map[fault.Kind]int
}

func verbs() []verb {
	// One exchange to allocate or free in the store.
	stored := map[fault.Kind]int{fault.Flock: 1, fault.Create: 1, fault.Write: 1, fault.Rename: 1}
	add := map[fault.Kind]int{
		fault.Setns:         4, // into the pod for a socket and for a setting, and back
		fault.NetlinkChange: 3, // the pair, the node's end, the pod's end
		fault.NetlinkRead:   4, // uplinks, and whether packets pass yet
		fault.Sysctl:        2, // accept_ra, ndisc_notify: netlink has no message for them
	}
	del := map[fault.Kind]int{fault.NetlinkChange: 1} // the link, and all with it
	for kind, n := range stored {
		add[kind], del[kind] = n, n
	}
	return []verb{
		{name: "ADD", floor: add},
		{name: "DEL", before: "ADD", floor: del},
		{name: "GC", before: "ADD", floor: del},
		{name: "ADD", ipam: true, floor: stored},
		{name: "DEL", ipam: true, before: "ADD", floor: stored},
	}
}

// command runs the verb on a pod.
func (v verb) command(n *node, p pod) fault.Command {
	if v.name == "GC" {
		return n.gc(p.program)
	}
	return n.call(v.name, p)
}

func (v verb) String() string { return v.name + " of " + filepath.Base(v.program()) }

func (v verb) program() string {
	if v.ipam {
		return ipam
	}
	return plugin
}

// newPod makes a pod that the verb's program attaches.
func (v verb) newPod() (pod, error) {
	p, err := newPod()
	p.program = v.program()
	return p, err
}

// way is one to clear away what a killed plugin left.
type way struct {
	name  string
	clear func(*node, *pod) error
}

func ways() []way {
	return []way{
		{"DEL", func(n *node, p *pod) error {
			_, first := n.run(n.call("DEL", *p))
			_, second := n.run(n.call("DEL", *p)) // a runtime may call it at any time
			return errors.Join(first, second)
		}},
		{"GC", func(n *node, p *pod) error {
			_, err := n.run(n.gc(p.program))
			return err
		}},
		{"the agent", clearByAgent},
	}
}

// clearByAgent is for a pod of which the runtime has forgotten all: its namespace
// is gone, DEL is never called, and the agent finds the addresses when the grace
// is over.
func clearByAgent(n *node, p *pod) error {
	now, err := store.Now()
	if err != nil {
		return err
	}
	if freed, err := n.searchLeaks(now); err != nil || len(freed) != 0 {
		return fmt.Errorf("the agent frees what may be an ADD that still runs: %+v, %w", freed, err)
	}
	p.release()
	if err := n.awaitLinks(1); err != nil { // the bystander's
		return err
	}
	now.At += store.LeakGrace
	if _, err := n.searchLeaks(now); err != nil {
		return err
	}
	again, err := newPod()
	again.id, again.program = p.id, p.program
	*p = again
	return err
}

// awaitLinks waits until the kernel has ended a namespace, which it does in its
// own time, and with it its links.
func (n *node) awaitLinks(want int) error {
	deadline := time.Now().Add(bound)
	for {
		links, err := n.podLinks()
		if err != nil || len(links) == want {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("pods' links after %v: %v, want %d", bound, links, want)
		}
		time.Sleep(time.Millisecond)
	}
}

// A plugin that is killed after any of its state-changing system calls leaves
// the node sound, and nothing that DEL, GC or the agent does not clear away.
func TestKilled(t *testing.T) {
	for _, v := range verbs() {
		t.Run(v.String(), func(t *testing.T) {
			points := v.points(t)
			for _, w := range ways() {
				t.Run("cleared by "+w.name, func(t *testing.T) {
					t.Parallel()
					s := newScene(t)
					for _, p := range points {
						if err := s.kill(t.Context(), v, p.Point, w); err != nil {
							t.Errorf("killed after %s (%s): %v", p.Point, p.Detail, err)
							s = newScene(t)
						}
					}
				})
			}
		})
	}
}

// points traces a run that nobody kills and returns its points.
func (v verb) points(t *testing.T) []fault.Call {
	t.Helper()
	s := newScene(t)
	p, err := v.newPod()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { p.release() }()
	if err := s.prepare(v, p); err != nil {
		t.Fatal(err)
	}
	var out fault.Outcome
	s.ns.Do(t, func() { out = trace(t, v.command(s.node, p)) })
	if out.Status != 0 {
		t.Fatalf("%s failed: %s%s", v.name, out.Stdout, out.Stderr)
	}
	count := map[fault.Kind]int{}
	for _, c := range out.Calls {
		count[c.Kind]++
	}
	t.Logf("%s: %d points: %s", v, len(out.Calls), strings.Trim(fmt.Sprint(count), "map[]"))
	for _, line := range lines(out.Calls, s.runDir) {
		t.Log(line)
	}
	for kind, least := range v.floor {
		if count[kind] < least {
			t.Errorf("%d points of kind %q, at least %d are known", count[kind], kind, least)
		}
	}
	return out.Calls
}

// scene is a node with a pod of another network, which must not notice anything.
type scene struct {
	*node
	bystander pod
	// clean is what the node looks like but for the tested network.
	clean []string
}

func newScene(t *testing.T) *scene {
	t.Helper()
	n := newNode(t)
	var s *scene
	n.ns.Do(t, func() { s = newSceneOn(t, n) })
	return s
}

// newSceneOn is newScene on a thread that is on the node.
func newSceneOn(t *testing.T, n *node) *scene {
	t.Helper()
	s := &scene{node: n}
	var err error
	if s.bystander, err = newPod(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.bystander.release)
	s.bystander.network = "other"
	if _, err := execute(s.call("ADD", s.bystander)); err != nil {
		t.Fatal(err)
	}
	if s.clean, err = s.look(); err != nil {
		t.Fatal(err)
	}
	return s
}

// look is all that the tested network may leave on the node.
func (s *scene) look() ([]string, error) {
	links, err := s.podLinks()
	if err != nil {
		return nil, err
	}
	const bystander = 0 // it was there first
	lines, err := look(s.ns, links[bystander])
	if err != nil {
		return nil, err
	}
	h, err := s.held()
	if err != nil {
		return nil, err
	}
	for _, a := range h.Allocations {
		lines = append(lines, fmt.Sprintf("held: %+v", a))
	}
	err = filepath.WalkDir(s.runDir, func(path string, _ fs.DirEntry, err error) error {
		lines = append(lines, "file "+path)
		return err
	})
	return lines, err
}

func (s *scene) isClean() error {
	now, err := s.look()
	if err != nil {
		return err
	}
	if diff := cmp.Diff(s.clean, now); diff != "" {
		return fmt.Errorf("the node is not as it was (-before +after):\n%s", diff)
	}
	return nil
}

func (s *scene) prepare(v verb, p pod) error {
	if v.before == "" {
		return nil
	}
	_, err := s.run(s.call(v.before, p))
	return err
}

// tries to come to a point.
const tries = 3

// errNotReached is a run that went to its end.
var errNotReached = errors.New("the point was not reached")

// kill takes one pod from its namespace to its end, with one death between.
func (s *scene) kill(ctx context.Context, v verb, at fault.Point, w way) error {
	p, err := v.newPod()
	if err != nil {
		return err
	}
	defer func() { p.release() }()
	untouched, err := look(p.ns, "")
	if err != nil {
		return err
	}
	err = s.die(ctx, v, at, p)
	if errors.Is(err, errNotReached) && at.Kind == fault.NetlinkRead {
		return s.isClean() // a busy kernel was asked once more in the first run
	}
	if err != nil {
		return err
	}
	if err := s.sound(); err != nil {
		return fmt.Errorf("after its death: %w", err)
	}
	if err := w.clear(s.node, &p); err != nil {
		return fmt.Errorf("clear by %s: %w", w.name, err)
	}
	if err := errors.Join(s.sound(), s.isClean()); err != nil {
		return fmt.Errorf("cleared by %s: %w", w.name, err)
	}
	if err := isLike(p, untouched); err != nil {
		return fmt.Errorf("cleared by %s: %w", w.name, err)
	}
	return s.live(p)
}

// die brings the plugin to a point where it is killed.
func (s *scene) die(ctx context.Context, v verb, at fault.Point, p pod) error {
	for range tries {
		if err := s.prepare(v, p); err != nil {
			return err
		}
		var out fault.Outcome
		err := s.ns.Inside(func() (err error) {
			ctx, cancel := context.WithTimeout(ctx, bound)
			defer cancel()
			out, err = fault.Kill(ctx, v.command(s.node, p), at)
			return err
		})
		if err != nil || out.Killed {
			return err
		}
		if out.Status != 0 {
			return fmt.Errorf("%s failed: %s%s", v.name, out.Stdout, out.Stderr)
		}
		if _, err := s.run(s.call("DEL", p)); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w in %d runs", errNotReached, tries)
}

// live takes a pod of the same container through a life: it gets an address,
// talks to the bystander, and leaves nothing.
func (s *scene) live(p pod) error {
	r, err := s.run(s.call("ADD", p))
	if err != nil {
		return fmt.Errorf("the next ADD: %w", err)
	}
	if len(r.IPs) != 2 {
		return fmt.Errorf("the next ADD gave %+v, want an address of each family", r)
	}
	if err := s.sound(); err != nil {
		return fmt.Errorf("after the next ADD: %w", err)
	}
	for _, a := range r.addresses() {
		if p.program == ipam {
			continue // another plugin would wire it
		}
		if err := ping(s.bystander, a.String()); err != nil {
			return err
		}
	}
	if _, err := s.run(s.call("DEL", p)); err != nil {
		return fmt.Errorf("the last DEL: %w", err)
	}
	return s.isClean()
}

func ping(from pod, to string) error {
	_, err := output(from.ns, "", "ping", "-n", "-q", "-c", "1", "-W", "10", to)
	return err
}
